// SPDX-License-Identifier: MIT

// Package session is the protocol of session.py for clients written in Go.
package session

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

const (
	Limit    = 20 * time.Second
	RunLimit = 60 * time.Second
)

// in is where requests come from, and a member's orders while it is one.
var in = bufio.NewReaderSize(os.Stdin, 1<<20)

var sayMutex sync.Mutex

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
	Group          string            `json:"group"`
	SessionMs      int               `json:"session_ms"`
	HeartbeatMs    int               `json:"heartbeat_ms"`
	AutoMs         int               `json:"auto_ms"`
	Instance       string            `json:"instance"`
	Assignor       string            `json:"assignor"`
	Offsets        map[int32]int64   `json:"offsets"`
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
	sayMutex.Lock()
	defer sayMutex.Unlock()
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

// Desk is what a member says; it counts positions and owned partitions for the library.
type Desk struct {
	mutex sync.Mutex
	owned map[int32]bool
	next  map[int32]int64
}

func NewDesk() *Desk {
	return &Desk{owned: map[int32]bool{}, next: map[int32]int64{}}
}

// Owns changes what it owns (all: and nothing else from now on), and says so.
func (d *Desk) Owns(why string, partitions []int32, all bool, generation int32, member string) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if all {
		d.owned = map[int32]bool{}
	}
	for _, p := range partitions {
		if why == "assigned" {
			d.owned[p] = true
		} else {
			delete(d.owned, p)
		}
	}
	list := []int32{}
	for p := range d.owned {
		list = append(list, p)
	}
	for p := range d.next {
		if !d.owned[p] {
			delete(d.next, p)
		}
	}
	slices.Sort(list)
	Say(Answer{"event": "owns", "why": why, "partitions": list, "at_us": NowUs(), "generation": generation,
		"member": member})
}

// Got says what was read.
func (d *Desk) Got(partition int32, offsets ...int64) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	pairs := [][]int64{}
	for _, o := range offsets {
		pairs = append(pairs, []int64{int64(partition), o})
		if d.owned[partition] {
			d.next[partition] = o + 1
		}
	}
	if len(pairs) > 0 {
		Say(Answer{"event": "got", "records": pairs})
	}
}

// Attend obeys the lines that follow until it is to leave.
func (d *Desk) Attend(commit func(offsets map[int32]int64, metadata string) error) {
	Say(Answer{"event": "here"})
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			os.Exit(0)
		}
		var order struct{ Op, Metadata string }
		if err := json.Unmarshal(line, &order); err != nil {
			panic(err)
		}
		if order.Op == "leave" {
			return
		}
		d.mutex.Lock()
		offsets := maps.Clone(d.next)
		d.mutex.Unlock()
		if err := commit(offsets, order.Metadata); err != nil {
			Say(Answer{"event": "refused", "why": err.Error()})
		} else {
			Say(Answer{"event": "committed", "offsets": offsets, "at_us": NowUs()})
		}
	}
}
