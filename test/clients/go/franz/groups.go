// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kauri/clients/session"
)

var groupLacks = map[string]string{
	"consumer_model": "franz-go's consumer model is not offered yet",
	"static":         "franz-go's static members have the group rebalance when they are back",
	"stays":          "franz-go gives its partitions up when it lost its connection",
	"metadata_in":    "a member of franz-go commits no metadata of one's own",
}

func memberOptions(ask *session.Ask, desk *session.Desk) []kgo.Opt {
	moved := func(why string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, client *kgo.Client, moved map[string][]int32) {
			member, generation := client.GroupMetadata()
			desk.Owns(why, moved[ask.Topic], false, generation, member)
		}
	}
	opts := []kgo.Opt{kgo.ConsumerGroup(ask.Group), kgo.ConsumeTopics(ask.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.SessionTimeout(time.Duration(ask.SessionMs) * time.Millisecond),
		kgo.HeartbeatInterval(time.Duration(ask.HeartbeatMs) * time.Millisecond),
		kgo.OnPartitionsAssigned(moved("assigned")), kgo.OnPartitionsRevoked(moved("revoked")),
		kgo.OnPartitionsLost(moved("lost"))}
	if ask.AutoMs > 0 {
		opts = append(opts, kgo.AutoCommitInterval(time.Duration(ask.AutoMs)*time.Millisecond))
	} else {
		opts = append(opts, kgo.DisableAutoCommit())
	}
	if ask.Instance != "" {
		opts = append(opts, kgo.InstanceID(ask.Instance))
	}
	return opts
}

func join(ask *session.Ask) (session.Answer, error) {
	desk := session.NewDesk()
	client, err := open(memberOptions(ask, desk)...)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan bool)
	go func() {
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachPartition(func(p kgo.FetchTopicPartition) {
				offsets := []int64{}
				for _, r := range p.Records {
					offsets = append(offsets, r.Offset)
				}
				desk.Got(p.Partition, offsets...)
			})
		}
		close(done)
	}()
	desk.Attend(func(offsets map[int32]int64, _ string) error {
		var fault error
		rows := map[int32]kgo.EpochOffset{}
		for p, o := range offsets {
			rows[p] = kgo.EpochOffset{Epoch: -1, Offset: o}
		}
		client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{ask.Topic: rows}, nil)
		for p, o := range offsets {
			if client.CommittedOffsets()[ask.Topic][p].Offset != o {
				fault = session.Short(0, 1)
			}
		}
		return fault
	})
	stop()
	<-done
	client.CloseAllowingRebalance()
	return session.Answer{}, nil
}

// asAdmin does one thing with an admin client.
func asAdmin(work func(*kadm.Client, context.Context) (session.Answer, error)) (session.Answer, error) {
	adm, ctx, done, err := admin()
	if err != nil {
		return nil, err
	}
	defer done()
	return work(adm, ctx)
}

func groups(*session.Ask) (session.Answer, error) {
	return asAdmin(func(adm *kadm.Client, ctx context.Context) (session.Answer, error) {
		told, err := adm.ListGroups(ctx)
		states := map[string]string{}
		for name, g := range told {
			states[name] = g.State
		}
		return session.Answer{"groups": states}, err
	})
}

func group(ask *session.Ask) (session.Answer, error) {
	return asAdmin(func(adm *kadm.Client, ctx context.Context) (session.Answer, error) {
		told, err := adm.DescribeGroups(ctx, ask.Group)
		if err == nil {
			err = told.Error()
		}
		members := []session.Answer{}
		for _, m := range told[ask.Group].Members {
			partitions := []int32{}
			if has, ok := m.Assigned.AsConsumer(); ok {
				for _, t := range has.Topics {
					partitions = append(partitions, t.Partitions...)
				}
			}
			members = append(members, session.Answer{"id": m.MemberID, "client": m.ClientID, "instance": m.InstanceID,
				"partitions": partitions})
		}
		return session.Answer{"state": told[ask.Group].State, "members": members}, err
	})
}

func offsets(ask *session.Ask) (session.Answer, error) {
	return asAdmin(func(adm *kadm.Client, ctx context.Context) (session.Answer, error) {
		told, err := adm.FetchOffsets(ctx, ask.Group)
		rows := map[int32][]any{}
		for p, o := range told[ask.Topic] {
			rows[p] = []any{o.At, o.Metadata}
		}
		return session.Answer{"offsets": rows}, err
	})
}

func setOffsets(ask *session.Ask) (session.Answer, error) {
	return asAdmin(func(adm *kadm.Client, ctx context.Context) (session.Answer, error) {
		rows := kadm.Offsets{}
		for p, o := range ask.Offsets {
			rows.AddOffset(ask.Topic, p, o, -1)
		}
		return session.Answer{}, adm.CommitAllOffsets(ctx, ask.Group, rows)
	})
}

func forget(ask *session.Ask) (session.Answer, error) {
	return asAdmin(func(adm *kadm.Client, ctx context.Context) (session.Answer, error) {
		rows := kadm.TopicsSet{}
		for p := range ask.Offsets {
			rows.Add(ask.Topic, p)
		}
		told, err := adm.DeleteOffsets(ctx, ask.Group, rows)
		if err == nil {
			err = told.Error()
		}
		return session.Answer{}, err
	})
}

func deleteGroup(ask *session.Ask) (session.Answer, error) {
	return asAdmin(func(adm *kadm.Client, ctx context.Context) (session.Answer, error) {
		told, err := adm.DeleteGroup(ctx, ask.Group)
		if err == nil {
			err = told.Err
		}
		return session.Answer{}, err
	})
}
