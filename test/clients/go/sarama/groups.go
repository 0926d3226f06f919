// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"kauri/clients/session"
)

var lacks = map[string]string{
	"cluster":        "sarama does not tell",
	"consumer_model": "sarama has the classic model only",
	"stays":          "sarama may join again when it lost its connection",
	"set_offsets":    "sarama's admin sets no offsets",
}

// member is a handler of sarama's; what it marked is committed when it is asked to.
type member struct {
	desk    *session.Desk
	mutex   sync.Mutex
	session sarama.ConsumerGroupSession
	auto    bool
}

func (m *member) Setup(s sarama.ConsumerGroupSession) error {
	m.mutex.Lock()
	m.session = s
	m.mutex.Unlock()
	owned := []int32{}
	for _, ps := range s.Claims() {
		owned = append(owned, ps...)
	}
	m.desk.Owns("assigned", owned, true, s.GenerationID(), s.MemberID())
	return nil
}

func (m *member) Cleanup(s sarama.ConsumerGroupSession) error {
	m.desk.Owns("revoked", nil, true, s.GenerationID(), s.MemberID())
	return nil
}

func (m *member) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case r, open := <-claim.Messages():
			if !open {
				return nil
			}
			m.desk.Got(r.Partition, r.Offset)
			if m.auto {
				s.MarkMessage(r, "")
			}
		case <-s.Context().Done():
			return nil
		}
	}
}

func (m *member) commit(topic string) func(map[int32]int64, string) error {
	return func(offsets map[int32]int64, metadata string) error {
		m.mutex.Lock()
		s := m.session
		m.mutex.Unlock()
		for p, o := range offsets {
			s.MarkOffset(topic, p, o, metadata)
		}
		s.Commit()
		return s.Context().Err()
	}
}

func memberConfig(ask *session.Ask) *sarama.Config {
	c := config()
	c.Consumer.Return.Errors = false
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.MaxWaitTime = 100 * time.Millisecond
	c.Consumer.Group.Session.Timeout = time.Duration(ask.SessionMs) * time.Millisecond
	c.Consumer.Group.Heartbeat.Interval = time.Duration(ask.HeartbeatMs) * time.Millisecond
	c.Consumer.Group.InstanceId = ask.Instance
	c.Consumer.Offsets.AutoCommit.Enable = ask.AutoMs > 0
	if ask.AutoMs > 0 {
		c.Consumer.Offsets.AutoCommit.Interval = time.Duration(ask.AutoMs) * time.Millisecond
	}
	return c
}

func join(ask *session.Ask) (session.Answer, error) {
	group, err := sarama.NewConsumerGroup(strings.Split(os.Args[1], ","), ask.Group, memberConfig(ask))
	if err != nil {
		return nil, err
	}
	m := &member{desk: session.NewDesk(), auto: ask.AutoMs > 0}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan bool)
	go func() {
		for ctx.Err() == nil {
			if err := group.Consume(ctx, []string{ask.Topic}, m); err != nil {
				os.Stderr.WriteString(err.Error() + "\n")
				time.Sleep(50 * time.Millisecond)
			}
		}
		close(done)
	}()
	m.desk.Attend(m.commit(ask.Topic))
	stop()
	<-done
	return session.Answer{}, group.Close()
}

// asAdmin does one thing with an admin client.
func asAdmin(work func(sarama.ClusterAdmin) (session.Answer, error)) (session.Answer, error) {
	adm, err := sarama.NewClusterAdmin(strings.Split(os.Args[1], ","), config())
	if err != nil {
		return nil, err
	}
	defer adm.Close()
	return work(adm)
}

func groups(*session.Ask) (session.Answer, error) {
	return asAdmin(func(adm sarama.ClusterAdmin) (session.Answer, error) {
		told, err := adm.ListConsumerGroups()
		states := map[string]string{}
		for name := range told {
			states[name] = ""
		}
		return session.Answer{"groups": states}, err
	})
}

func group(ask *session.Ask) (session.Answer, error) {
	return asAdmin(func(adm sarama.ClusterAdmin) (session.Answer, error) {
		told, err := adm.DescribeConsumerGroups([]string{ask.Group})
		if err != nil {
			return nil, err
		}
		members := []session.Answer{}
		for id, m := range told[0].Members {
			partitions := []int32{}
			if has, err := m.GetMemberAssignment(); err == nil && has != nil {
				partitions = append(partitions, has.Topics[ask.Topic]...)
			}
			members = append(members, session.Answer{"id": id, "client": m.ClientId, "instance": m.GroupInstanceId,
				"partitions": partitions})
		}
		return session.Answer{"state": told[0].State, "members": members}, nil
	})
}

func offsets(ask *session.Ask) (session.Answer, error) {
	return asAdmin(func(adm sarama.ClusterAdmin) (session.Answer, error) {
		told, err := adm.ListConsumerGroupOffsets(ask.Group, nil)
		if err != nil {
			return nil, err
		}
		rows := map[int32][]any{}
		for p, b := range told.Blocks[ask.Topic] {
			rows[p] = []any{b.Offset, b.Metadata}
		}
		return session.Answer{"offsets": rows}, nil
	})
}

func forget(ask *session.Ask) (session.Answer, error) {
	return asAdmin(func(adm sarama.ClusterAdmin) (session.Answer, error) {
		for p := range ask.Offsets {
			if err := adm.DeleteConsumerGroupOffset(ask.Group, ask.Topic, p); err != nil {
				return nil, err
			}
		}
		return session.Answer{}, nil
	})
}

func deleteGroup(ask *session.Ask) (session.Answer, error) {
	return asAdmin(func(adm sarama.ClusterAdmin) (session.Answer, error) {
		return session.Answer{}, adm.DeleteConsumerGroup(ask.Group)
	})
}
