// SPDX-License-Identifier: MIT
// admin: what admin_checks.py asks, by franz-go's kadm; see admin_python.py.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// code is the number of a broker's error.
func code(err error) any {
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Code
	}
	if err == nil {
		return 0
	}
	return err.Error()
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func text(s string) *string { return &s }

type asker struct {
	ctx   context.Context
	admin *kadm.Client
	topic string
	out   map[string]any
}

func (a *asker) alter(how kadm.IncrementalOp, name, value string) error {
	said, err := a.admin.AlterTopicConfigs(a.ctx, []kadm.AlterConfig{{Op: how, Name: name, Value: &value}}, a.topic)
	must(err)
	one, err := said.On(a.topic, nil)
	must(err)
	return one.Err
}

func (a *asker) value(name string) any {
	said, err := a.admin.DescribeTopicConfigs(a.ctx, a.topic)
	must(err)
	one, err := said.On(a.topic, nil)
	must(err)
	for _, c := range one.Configs {
		if c.Key == name {
			return c.MaybeValue()
		}
	}
	return nil
}

func (a *asker) configs() {
	must(a.alter(kadm.SetConfig, "retention.ms", "7200000"))
	a.out["set"] = a.value("retention.ms")
	must(a.alter(kadm.AppendConfig, "cleanup.policy", "compact"))
	a.out["append"] = a.value("cleanup.policy")
	must(a.alter(kadm.SubtractConfig, "cleanup.policy", "compact"))
	a.out["bad"] = code(a.alter(kadm.SetConfig, "retention.ms", "soon"))
}

func (a *asker) records() {
	trim := func(offset int64) kadm.DeleteRecordsResponse {
		var at kadm.Offsets
		at.AddOffset(a.topic, 0, offset, -1)
		said, err := a.admin.DeleteRecords(a.ctx, at)
		must(err)
		one, _ := said.Lookup(a.topic, 0)
		return one
	}
	a.out["deleted"] = trim(4).LowWatermark
	a.out["beyond"] = code(trim(11).Err)
	dirs, err := a.admin.DescribeAllLogDirs(a.ctx, nil)
	must(err)
	a.out["dirs"] = len(dirs)
	producers, err := a.admin.DescribeProducers(a.ctx, kadm.TopicsSet{a.topic: {0: {}}})
	must(err)
	a.out["producers"] = code(producers[a.topic].Partitions[0].Err)
}

func (a *asker) leaders() {
	said, err := a.admin.ElectLeaders(a.ctx, kadm.ElectPreferredReplica, kadm.TopicsSet{a.topic: {0: {}}})
	must(err)
	a.out["election"] = code(said[a.topic][0].Err)
	var plan kadm.AlterPartitionAssignmentsReq
	plan.Assign(a.topic, 0, []int32{7})
	moved, err := a.admin.AlterPartitionAssignments(a.ctx, plan)
	must(err)
	a.out["move"] = code(moved[a.topic][0].Err)
	moves, err := a.admin.ListPartitionReassignments(a.ctx, nil)
	must(err)
	a.out["moves"] = len(moves)
}

func (a *asker) quotas() {
	entity := kadm.ClientQuotaEntity{{Type: "client-id", Name: text("kadm-slow")}}
	set := func(key string, value float64, remove bool) any {
		said, err := a.admin.AlterClientQuotas(a.ctx, []kadm.AlterClientQuotaEntry{
			{Entity: entity, Ops: []kadm.AlterClientQuotaOp{{Key: key, Value: value, Remove: remove}}}})
		must(err)
		return code(said[0].Err)
	}
	a.out["quota"] = set("producer_byte_rate", 2000, false)
	a.out["no quota"] = set("speed", 1, false)
	var said kadm.DescribedClientQuotas
	for len(said) == 0 { // Apache's brokers hear of it later than it is answered
		var err error
		said, err = a.admin.DescribeClientQuotas(a.ctx, true,
			[]kadm.DescribeClientQuotaComponent{{Type: "client-id", MatchName: text("kadm-slow"), MatchType: 0}})
		must(err)
	}
	a.out["quotas"] = said[0].Values[0].Value
	set("producer_byte_rate", 0, true)
}

func main() {
	client, err := kgo.NewClient(kgo.SeedBrokers(os.Args[1]), kgo.ClientID("admin"))
	must(err)
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	a := &asker{ctx, kadm.NewClient(client), os.Args[2], map[string]any{}}
	a.configs()
	a.records()
	a.leaders()
	a.quotas()
	must(json.NewEncoder(os.Stdout).Encode(a.out))
}
