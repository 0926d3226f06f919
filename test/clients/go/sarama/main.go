// SPDX-License-Identifier: MIT

// Command sarama is sarama in the matrix of clients (session.py tells the protocol).
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"kauri/clients/session"
)

var codecs = map[string]sarama.CompressionCodec{
	"none":   sarama.CompressionNone,
	"gzip":   sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy,
	"lz4":    sarama.CompressionLZ4,
	"zstd":   sarama.CompressionZSTD,
}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V2_8_0_0
	c.Producer.Return.Successes = true
	c.Consumer.Return.Errors = true
	c.Metadata.Retry.Max = 100
	c.Metadata.Retry.Backoff = 50 * time.Millisecond
	return c
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "github.com/IBM/sarama" {
				return d.Version
			}
		}
	}
	return "?"
}

func hello(*session.Ask) (session.Answer, error) {
	return session.Answer{"name": "sarama", "version": version(), "hash": "fnv1a",
		"lacks":  lacks,
		"codecs": []string{"none", "gzip", "snappy", "lz4", "zstd"}}, nil
}

func metadata(*session.Ask) (session.Answer, error) {
	adm, err := sarama.NewClusterAdmin(strings.Split(os.Args[1], ","), config())
	if err != nil {
		return nil, err
	}
	defer adm.Close()
	nodes, controller, err := adm.DescribeCluster()
	if err != nil {
		return nil, err
	}
	listed, err := adm.ListTopics()
	if err != nil {
		return nil, err
	}
	brokers, topics := [][]any{}, map[string]int32{}
	for _, b := range nodes {
		brokers = append(brokers, []any{b.ID(), b.Addr()})
	}
	for name, t := range listed {
		topics[name] = t.NumPartitions
	}
	return session.Answer{"brokers": brokers, "controller": controller, "topics": topics}, nil
}

func create(ask *session.Ask) (session.Answer, error) {
	adm, err := sarama.NewClusterAdmin(strings.Split(os.Args[1], ","), config())
	if err != nil {
		return nil, err
	}
	defer adm.Close()
	detail := &sarama.TopicDetail{NumPartitions: ask.Partitions, ReplicationFactor: 1,
		ConfigEntries: map[string]*string{}}
	for k, v := range ask.Config {
		detail.ConfigEntries[k] = &v
	}
	err = adm.CreateTopic(ask.Topic, detail, false)
	if errors.Is(err, sarama.ErrTopicAlreadyExists) {
		return session.Answer{"outcome": "exists"}, nil
	}
	return session.Answer{"outcome": "created"}, err
}

func grow(ask *session.Ask) (session.Answer, error) {
	adm, err := sarama.NewClusterAdmin(strings.Split(os.Args[1], ","), config())
	if err != nil {
		return nil, err
	}
	defer adm.Close()
	return session.Answer{"outcome": "grown"}, adm.CreatePartitions(ask.Topic, ask.Partitions, nil, false)
}

// encoder is nil for null, so that sarama sends null.
func encoder(text *string) sarama.Encoder {
	if text == nil {
		return nil
	}
	return sarama.ByteEncoder(session.Unhex(text))
}

func messageOf(ask *session.Ask, r *session.Record) *sarama.ProducerMessage {
	m := &sarama.ProducerMessage{Topic: ask.Topic, Key: encoder(r.Key), Value: encoder(r.Value)}
	if ask.Partition != nil {
		m.Partition = *ask.Partition
	}
	if r.Timestamp != nil {
		m.Timestamp = time.UnixMilli(*r.Timestamp)
	}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(*h[0]), Value: session.Unhex(h[1])})
	}
	return m
}

func producerConfig(ask *session.Ask) *sarama.Config {
	c := config()
	c.Producer.MaxMessageBytes = 8 << 20
	c.Producer.Compression = codecs["none"]
	if ask.Codec != "" {
		c.Producer.Compression = codecs[ask.Codec]
	}
	c.Producer.Flush.Frequency = time.Duration(ask.LingerMs) * time.Millisecond
	if ask.Partition != nil {
		c.Producer.Partitioner = sarama.NewManualPartitioner
	}
	switch ask.Acks {
	case "0":
		c.Producer.RequiredAcks = sarama.NoResponse
	case "1":
		c.Producer.RequiredAcks = sarama.WaitForLocal
	default:
		c.Producer.RequiredAcks = sarama.WaitForAll
	}
	return c
}

func produce(ask *session.Ask) (session.Answer, error) {
	producer, err := sarama.NewSyncProducer(strings.Split(os.Args[1], ","), producerConfig(ask))
	if err != nil {
		return nil, err
	}
	messages := []*sarama.ProducerMessage{}
	for i := range ask.Records {
		messages = append(messages, messageOf(ask, &ask.Records[i]))
	}
	sent := session.NowUs()
	err = producer.SendMessages(messages)
	acked := session.NowUs()
	producer.Close()
	if err != nil {
		var all sarama.ProducerErrors
		if errors.As(err, &all) && len(all) > 0 {
			err = all[0].Err
		}
		return nil, err
	}
	placed := [][]any{}
	for _, m := range messages {
		if ask.Acks == "0" {
			placed = append(placed, []any{m.Partition, nil})
		} else {
			placed = append(placed, []any{m.Partition, m.Offset})
		}
	}
	return session.Answer{"placed": placed, "sent_us": sent, "acked_us": acked}, nil
}

func run(ask *session.Ask) (session.Answer, error) {
	zero := int32(0)
	ask.Partition = &zero
	c := producerConfig(ask)
	c.Producer.Idempotent = ask.Idempotent
	c.Net.MaxOpenRequests = 1
	c.Producer.Retry.Max = 1000
	c.Producer.Retry.Backoff = 50 * time.Millisecond
	producer, err := sarama.NewSyncProducer(strings.Split(os.Args[1], ","), c)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	placed := []int64{}
	for i := range ask.Count {
		value := sarama.StringEncoder(fmt.Sprintf("run %d", i))
		_, offset, err := producer.SendMessage(&sarama.ProducerMessage{Topic: ask.Topic, Value: value})
		if err != nil {
			return nil, err
		}
		placed = append(placed, offset)
		if i == 0 {
			session.Say(session.Answer{"event": "acked"})
		}
		time.Sleep(time.Duration(ask.PaceUs) * time.Microsecond)
	}
	return session.Answer{"placed": placed}, nil
}

func recordOut(m *sarama.ConsumerMessage) session.Record {
	ms := m.Timestamp.UnixMilli()
	out := session.Record{Offset: m.Offset, Timestamp: &ms, Key: session.Hexed(m.Key), Value: session.Hexed(m.Value),
		Headers: [][]*string{}}
	for _, h := range m.Headers {
		name := string(h.Key)
		out.Headers = append(out.Headers, []*string{&name, session.Hexed(h.Value)})
	}
	return out
}

// take reads from an offset (or sarama's words for the ends) and gives each record to got.
func take(ask *session.Ask, from int64, ready func(), got func(*sarama.ConsumerMessage)) error {
	c := config()
	if ask.PartitionBytes > 0 {
		c.Consumer.Fetch.Default = ask.PartitionBytes
	}
	consumer, err := sarama.NewConsumer(strings.Split(os.Args[1], ","), c)
	if err != nil {
		return err
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(ask.Topic, *ask.Partition, from)
	if err != nil {
		return err
	}
	defer partition.Close()
	ready()
	limit := time.After(session.Limit)
	for seen := 0; seen < ask.Count; seen++ {
		select {
		case m := <-partition.Messages():
			got(m)
		case e := <-partition.Errors():
			return e.Err
		case <-limit:
			return session.Short(seen, ask.Count)
		}
	}
	return nil
}

func offsetAt(ask *session.Ask, ms int64) (int64, error) {
	client, err := sarama.NewClient(strings.Split(os.Args[1], ","), config())
	if err != nil {
		return 0, err
	}
	defer client.Close()
	return client.GetOffset(ask.Topic, *ask.Partition, ms)
}

func consume(ask *session.Ask) (session.Answer, error) {
	where, err := ask.Where()
	if err != nil {
		return nil, err
	}
	from := where.Offset
	switch {
	case where.Timed:
		if from, err = offsetAt(ask, where.TimeMs); err != nil {
			return nil, err
		}
	case where.Word == "beginning":
		from = sarama.OffsetOldest
	case where.Word == "end":
		from = sarama.OffsetNewest
	}
	records := []session.Record{}
	err = take(ask, from, func() {}, func(m *sarama.ConsumerMessage) { records = append(records, recordOut(m)) })
	return session.Answer{"records": records}, err
}

func follow(ask *session.Ask) (session.Answer, error) {
	ready := func() { session.Say(session.Answer{"event": "ready"}) }
	return session.Answer{}, take(ask, sarama.OffsetNewest, ready, func(m *sarama.ConsumerMessage) {
		session.Say(session.Answer{"event": "got", "at_us": session.NowUs(), "record": recordOut(m)})
	})
}

func main() {
	session.Serve(map[string]func(*session.Ask) (session.Answer, error){
		"hello": hello, "metadata": metadata, "create": create, "grow": grow, "produce": produce, "run": run,
		"consume": consume, "follow": follow, "join": join, "groups": groups, "group": group, "offsets": offsets,
		"forget": forget, "delete_group": deleteGroup,
	})
}
