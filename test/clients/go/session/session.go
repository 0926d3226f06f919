// SPDX-License-Identifier: MIT

// Package session is the protocol of session.py for clients written in Go.
package session

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"time"
)

const (
	Limit    = 20 * time.Second
	RunLimit = 60 * time.Second
)

// Answer is one line out.
type Answer map[string]any

// Record is one of the protocol; nil is null.
type Record struct {
	Offset    int64       `json:"offset"`
	Timestamp *int64      `json:"timestamp"`
	Key       *string     `json:"key"`
	Value     *string     `json:"value"`
	Headers   [][]*string `json:"headers"`
}

// Ask has the members of every request.
type Ask struct {
	Op             string            `json:"op"`
	Topic          string            `json:"topic"`
	Partition      *int32            `json:"partition"`
	Partitions     int32             `json:"partitions"`
	Config         map[string]string `json:"config"`
	Records        []Record          `json:"records"`
	Acks           string            `json:"acks"`
	Codec          string            `json:"codec"`
	LingerMs       int               `json:"linger_ms"`
	Count          int               `json:"count"`
	PaceUs         int               `json:"pace_us"`
	Idempotent     bool              `json:"idempotent"`
	From           json.RawMessage   `json:"from"`
	PartitionBytes int32             `json:"partition_bytes"`
}

// Where is what From says: Word ("beginning", "end"), or TimeMs, or Offset.
type Where struct {
	Word   string
	TimeMs int64
	Offset int64
	Timed  bool
}

func (a *Ask) Where() (w Where, err error) {
	var timed struct {
		Time int64 `json:"time"`
	}
	if json.Unmarshal(a.From, &w.Word) == nil || json.Unmarshal(a.From, &w.Offset) == nil {
		return w, nil
	}
	err = json.Unmarshal(a.From, &timed)
	w.TimeMs, w.Timed = timed.Time, true
	return w, err
}

// Unhex gives nil for null.
func Unhex(text *string) []byte {
	if text == nil {
		return nil
	}
	data, err := hex.DecodeString(*text)
	if err != nil {
		panic(err)
	}
	return data
}

// Hexed gives null for nil.
func Hexed(data []byte) *string {
	if data == nil {
		return nil
	}
	text := hex.EncodeToString(data)
	return &text
}

func NowUs() int64 {
	return time.Now().UnixMicro()
}

func Say(line Answer) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(append(text, '\n'))
}

func answer(client map[string]func(*Ask) (Answer, error), ask *Ask) (out Answer) {
	defer func() {
		if why := recover(); why != nil {
			debug.PrintStack()
			out = Answer{"error": fmt.Sprint("panic: ", why)}
		}
	}()
	verb := client[ask.Op]
	if verb == nil {
		return Answer{"error": "no such request: " + ask.Op}
	}
	out, err := verb(ask)
	if err != nil {
		return Answer{"error": err.Error()}
	}
	return out
}

// Serve answers requests until stdin ends.
func Serve(client map[string]func(*Ask) (Answer, error)) {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var ask Ask
		if err := json.Unmarshal(line, &ask); err != nil {
			panic(err)
		}
		Say(answer(client, &ask))
	}
}

// Short is the error of a client that saw too few records.
func Short(got, wanted int) error {
	return fmt.Errorf("%d of %d records came", got, wanted)
}
