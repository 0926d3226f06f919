// SPDX-License-Identifier: MIT

// Command franz is franz-go in the matrix of clients (session.py tells the protocol).
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"kauri/clients/session"
)

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

const fetchKey = 1

func open(more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(strings.Split(os.Args[1], ",")...)}, more...)...)
}

func admin() (*kadm.Client, context.Context, func(), error) {
	client, err := open()
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), session.Limit)
	return kadm.NewClient(client), ctx, func() { cancel(); client.Close() }, nil
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "github.com/twmb/franz-go" {
				return d.Version
			}
		}
	}
	return "?"
}

func hello(*session.Ask) (session.Answer, error) {
	return session.Answer{"name": "franz-go", "version": version(), "hash": "murmur2", "lacks": groupLacks,
		"codecs": []string{"none", "gzip", "snappy", "lz4", "zstd"}}, nil
}

func metadata(*session.Ask) (session.Answer, error) {
	adm, ctx, done, err := admin()
	if err != nil {
		return nil, err
	}
	defer done()
	m, err := adm.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	brokers, topics := [][]any{}, map[string]int{}
	for _, b := range m.Brokers {
		brokers = append(brokers, []any{b.NodeID, net.JoinHostPort(b.Host, fmt.Sprint(b.Port))})
	}
	for name, t := range m.Topics {
		topics[name] = len(t.Partitions)
	}
	return session.Answer{"brokers": brokers, "controller": m.Controller, "cluster": m.Cluster, "topics": topics}, nil
}

func create(ask *session.Ask) (session.Answer, error) {
	adm, ctx, done, err := admin()
	if err != nil {
		return nil, err
	}
	defer done()
	config := map[string]*string{}
	for k, v := range ask.Config {
		config[k] = kadm.StringPtr(v)
	}
	_, err = adm.CreateTopic(ctx, ask.Partitions, 1, config, ask.Topic)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return session.Answer{"outcome": "exists"}, nil
	}
	return session.Answer{"outcome": "created"}, err
}

func grow(ask *session.Ask) (session.Answer, error) {
	adm, ctx, done, err := admin()
	if err != nil {
		return nil, err
	}
	defer done()
	told, err := adm.UpdatePartitions(ctx, int(ask.Partitions), ask.Topic)
	if err == nil {
		err = told.Error()
	}
	return session.Answer{"outcome": "grown"}, err
}

func recordOf(ask *session.Ask, r *session.Record) *kgo.Record {
	out := &kgo.Record{Topic: ask.Topic, Key: session.Unhex(r.Key), Value: session.Unhex(r.Value)}
	if ask.Partition != nil {
		out.Partition = *ask.Partition
	}
	if r.Timestamp != nil {
		out.Timestamp = time.UnixMilli(*r.Timestamp)
	}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: *h[0], Value: session.Unhex(h[1])})
	}
	return out
}

func producer(ask *session.Ask, more ...kgo.Opt) (*kgo.Client, error) {
	if ask.Codec != "" {
		more = append(more, kgo.ProducerBatchCompression(codecs[ask.Codec]))
	}
	if ask.Partition != nil {
		more = append(more, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	switch ask.Acks {
	case "0":
		more = append(more, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	case "1":
		more = append(more, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	}
	return open(append(more, kgo.ProducerLinger(time.Duration(ask.LingerMs)*time.Millisecond),
		kgo.ProducerBatchMaxBytes(8<<20), kgo.AllowAutoTopicCreation())...)
}

func produce(ask *session.Ask) (session.Answer, error) {
	client, err := producer(ask)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	records := []*kgo.Record{}
	for i := range ask.Records {
		records = append(records, recordOf(ask, &ask.Records[i]))
	}
	ctx, cancel := context.WithTimeout(context.Background(), session.Limit)
	defer cancel()
	sent := session.NowUs()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return nil, err
	}
	acked := session.NowUs()
	placed := [][]any{}
	for _, r := range records {
		if ask.Acks == "0" {
			placed = append(placed, []any{r.Partition, nil})
		} else {
			placed = append(placed, []any{r.Partition, r.Offset})
		}
	}
	return session.Answer{"placed": placed, "sent_us": sent, "acked_us": acked}, nil
}

func run(ask *session.Ask) (session.Answer, error) {
	zero := int32(0)
	ask.Partition = &zero
	client, err := producer(ask, kgo.RecordDeliveryTimeout(session.RunLimit), kgo.RecordRetries(10000),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), session.RunLimit)
	defer cancel()
	placed, faults := make([]int64, ask.Count), make(chan error, ask.Count)
	for i := range ask.Count {
		record := &kgo.Record{Topic: ask.Topic, Value: []byte(fmt.Sprintf("run %d", i))}
		client.Produce(ctx, record, func(r *kgo.Record, err error) {
			placed[i] = r.Offset
			faults <- err
		})
		if i == 0 {
			if err := client.Flush(ctx); err != nil {
				return nil, err
			}
			session.Say(session.Answer{"event": "acked"})
		}
		time.Sleep(time.Duration(ask.PaceUs) * time.Microsecond)
	}
	for range ask.Count {
		if err := <-faults; err != nil {
			return nil, err
		}
	}
	return session.Answer{"placed": placed}, nil
}

func recordOut(r *kgo.Record) session.Record {
	ms := r.Timestamp.UnixMilli()
	out := session.Record{Offset: r.Offset, Timestamp: &ms, Key: session.Hexed(r.Key), Value: session.Hexed(r.Value),
		Headers: [][]*string{}}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, []*string{&h.Key, session.Hexed(h.Value)})
	}
	return out
}

// take gives each record to got until there were enough.
func take(client *kgo.Client, count int, got func(*kgo.Record)) error {
	ctx, cancel := context.WithTimeout(context.Background(), session.Limit)
	defer cancel()
	seen := 0
	for seen < count {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return session.Short(seen, count)
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if seen < count {
				got(r)
			}
			seen++
		})
	}
	return nil
}

func consumer(ask *session.Ask, from kgo.Offset, more ...kgo.Opt) (*kgo.Client, error) {
	if ask.PartitionBytes > 0 {
		more = append(more, kgo.FetchMaxPartitionBytes(ask.PartitionBytes))
	}
	at := map[string]map[int32]kgo.Offset{ask.Topic: {*ask.Partition: from}}
	return open(append(more, kgo.ConsumePartitions(at))...)
}

func consume(ask *session.Ask) (session.Answer, error) {
	where, err := ask.Where()
	if err != nil {
		return nil, err
	}
	from := kgo.NewOffset().At(where.Offset)
	switch {
	case where.Timed:
		from = kgo.NewOffset().AfterMilli(where.TimeMs)
	case where.Word == "beginning":
		from = kgo.NewOffset().AtStart()
	case where.Word == "end":
		from = kgo.NewOffset().AtEnd()
	}
	client, err := consumer(ask, from)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	records := []session.Record{}
	err = take(client, ask.Count, func(r *kgo.Record) { records = append(records, recordOut(r)) })
	return session.Answer{"records": records}, err
}

// firstFetch says ready when the first fetch has been sent: the consumer waits at the end then.
type firstFetch struct{ said bool }

func (f *firstFetch) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key == fetchKey && err == nil && !f.said {
		f.said = true
		session.Say(session.Answer{"event": "ready"})
	}
}

func follow(ask *session.Ask) (session.Answer, error) {
	client, err := consumer(ask, kgo.NewOffset().AtEnd(), kgo.WithHooks(&firstFetch{}))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return session.Answer{}, take(client, ask.Count, func(r *kgo.Record) {
		session.Say(session.Answer{"event": "got", "at_us": session.NowUs(), "record": recordOut(r)})
	})
}

func main() {
	session.Serve(map[string]func(*session.Ask) (session.Answer, error){
		"hello": hello, "metadata": metadata, "create": create, "grow": grow, "produce": produce, "run": run,
		"consume": consume, "follow": follow, "join": join, "groups": groups, "group": group, "offsets": offsets,
		"set_offsets": setOffsets, "forget": forget, "delete_group": deleteGroup,
	})
}
