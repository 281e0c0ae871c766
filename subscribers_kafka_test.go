//go:build kafka

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// subscribers are those of other processes, which print what they are handed.
type subscribers struct {
	mu     sync.Mutex
	byName map[string]*outsideSubscriber
}

// outsideSubscriber is what one of them has told.
type outsideSubscriber struct {
	repeats  bool       // it is handed payments again when it comes back, which their offsets tell
	ids      [][]string // by partition and offset
	repeated int
	states   []string // each followed by another
	failure  string   // the first thing that must not be
	last     time.Time
	silence  time.Duration // the longest between two payments
}

// startNode starts subscribers in Node.js: two of each of the client library's protocols, and an EventSource.
func (s *subscribers) startNode(t *testing.T, p *proxy) {
	t.Helper()
	args := []string{"--experimental-eventsource", "--no-warnings", "web/testing/src/subscribers.ts"}
	for i, kind := range []string{"grpc", "grpc", "grpc-web", "grpc-web", "connect", "connect", "sse"} {
		name, address := fmt.Sprintf("%s %d", kind, i), p.http
		if kind == "grpc" {
			address = p.grpc
		}
		s.add(name, kind == "sse")
		args = append(args, name, kind, address)
	}
	cmd := exec.Command("web/node_modules/.bin/node", args...)
	cmd.Stdout, cmd.Stderr = &lines{take: s.takeFields}, t.Output()
	startChild(t, cmd)
}

// startTail starts paystream tail.
func (s *subscribers) startTail(t *testing.T, p *proxy) {
	t.Helper()
	const name = "tail"
	s.add(name, false)
	cmd := exec.Command(binary, "tail", "--json", "--address="+p.grpc)
	cmd.Dir, cmd.Env = t.TempDir(), []string{}
	cmd.Stdout = &lines{take: func(line string) {
		var event struct {
			Payment   struct{ ID string }
			Partition int
			Offset    int64 `json:",string"`
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			s.fail(name, err.Error())
			return
		}
		s.payment(name, event.Partition, event.Offset, event.Payment.ID)
	}}
	cmd.Stderr = &lines{take: func(line string) { s.state(name, line) }}
	startChild(t, cmd)
}

func (s *subscribers) add(name string, repeats bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byName[name] = &outsideSubscriber{repeats: repeats}
}

// takeFields takes a line of web/testing/src/subscribers.ts.
func (s *subscribers) takeFields(line string) {
	switch f := strings.Split(line, "\t"); {
	case len(f) == 5 && f[1] == "payment":
		partition, err1 := strconv.Atoi(f[2])
		offset, err2 := strconv.ParseInt(f[3], 10, 64)
		if err1 != nil || err2 != nil {
			s.fail(f[0], line)
			return
		}
		s.payment(f[0], partition, offset, f[4])
	case len(f) == 3 && f[1] == "state":
		s.state(f[0], f[2])
	default:
		s.fail(f[0], line)
	}
}

func (s *subscribers) payment(name string, partition int, offset int64, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, now := s.byName[name], time.Now()
	if !one.last.IsZero() {
		one.silence = max(one.silence, now.Sub(one.last))
	}
	one.last = now
	for len(one.ids) <= partition {
		one.ids = append(one.ids, nil)
	}
	switch next := int64(len(one.ids[partition])); {
	case offset == next:
		one.ids[partition] = append(one.ids[partition], id)
	case offset < next && one.repeats && one.ids[partition][offset] == id:
		one.repeated++
	case one.failure == "":
		one.failure = fmt.Sprintf("partition %d: offset %d where %d comes next", partition, offset, next)
	}
}

func (s *subscribers) state(name, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byName[name].states = append(s.byName[name].states, state)
}

func (s *subscribers) fail(name, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.byName[name]; one != nil && one.failure == "" {
		one.failure = why
	}
}

// awaitOpen waits until each has a stream.
func (s *subscribers) awaitOpen(t *testing.T) {
	t.Helper()
	s.awaitEach(t, "has a stream", func(one *outsideSubscriber) bool {
		return slices.ContainsFunc(one.states, func(state string) bool {
			return state == "existing" || state == "live" || strings.HasPrefix(state, "connected")
		})
	})
}

// check waits until each has what Kafka has, and says how that went.
func (s *subscribers) check(t *testing.T, records []*kgo.Record) {
	t.Helper()
	var want [][]string
	for _, r := range records {
		for len(want) <= int(r.Partition) {
			want = append(want, nil)
		}
		want[r.Partition] = append(want[r.Partition], string(r.Key))
	}
	s.awaitEach(t, fmt.Sprintf("has all %d payments", len(records)), func(one *outsideSubscriber) bool {
		n := 0
		for _, ids := range one.ids {
			n += len(ids)
		}
		return n >= len(records)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, one := range s.byName {
		if !slices.EqualFunc(want, one.ids, slices.Equal[[]string]) {
			t.Errorf("%s: its payments are not Kafka's", name)
		}
		if !slices.ContainsFunc(one.states, func(state string) bool { return strings.Contains(state, "rying") }) {
			t.Errorf("%s: none of its gateways has ended: this shows nothing", name)
		}
		t.Logf("%s: %d payments, %d of them again; silent for %v at most; %s",
			name, len(records), one.repeated, one.silence.Round(time.Millisecond), strings.Join(one.states, " > "))
	}
}

// awaitEach waits until something holds of each, unless one has failed.
func (s *subscribers) awaitEach(t *testing.T, what string, holds func(*outsideSubscriber) bool) {
	t.Helper()
	soon(t, "each "+what, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for name, one := range s.byName {
			if one.failure != "" {
				t.Fatalf("%s: %s, after %s", name, one.failure, strings.Join(one.states, " > "))
			}
			if !holds(one) {
				return fmt.Errorf("%s: %d payments; %s", name, len(slices.Concat(one.ids...)), strings.Join(one.states, " > "))
			}
		}
		return nil
	})
}

// lines hands on what is written to it, line by line.
type lines struct {
	take func(line string)
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		l.take(string(line))
		l.rest = rest
	}
}

// nodePath is the PATH that has the Node.js that npm ci brings along.
func nodePath(t *testing.T) string {
	t.Helper()
	bin, err := filepath.Abs("web/node_modules/.bin")
	if err != nil {
		t.Fatal(err)
	}
	return "PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH")
}
