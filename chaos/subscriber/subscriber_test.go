package subscriber_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paystream/chaos/judge"
	"paystream/chaos/subscriber"
	"paystream/chaos/traffic"
	"paystream/internal/clienttest"
)

// gateway serves NDJSON: one script for each stream, in turn, and notes the cursor that each asks for.
type gateway struct {
	mu      sync.Mutex
	streams [][]string
	asked   []string
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.asked = append(g.asked, r.URL.Query().Get("cursor")+r.URL.Query().Get("since"))
	var lines []string
	if len(g.streams) > 0 {
		lines, g.streams = g.streams[0], g.streams[1:]
	}
	g.mu.Unlock()
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
}

// line is an event as a gateway writes it.
func line(offset int) string {
	return fmt.Sprintf(`{"payment":{"id":"p-%[1]d","amount":1,"amountMinor":"100"},"eventType":"new","topic":"t","partition":0,"offset":"%[1]d","cursor":"c%[1]d","publishedAt":"1"}`, offset)
}

// TestRules has a subscriber follow streams that break, repeat, and tell a gap.
func TestRules(t *testing.T) {
	t.Parallel()
	const gap = `{"error":{"code":"out_of_range","message":"m","details":[{"type":"payment.StreamEnd","value":"CgJjNBICYzYaBBAFGAY"}]}}`
	g := &gateway{streams: [][]string{
		{line(0), line(1), line(2)},
		{line(2), line(3)}, // a cursor may be behind what has come
		{line(4), gap},     // of 5
		{line(6)},
	}}
	server := httptest.NewServer(g)
	defer server.Close()
	j := judge.New()
	for o := range int64(7) {
		j.Acknowledged(0, o, judge.Payment, traffic.Print(fmt.Appendf(nil, "p-%d", o), 100))
	}
	j.Gone(0, 6)
	s := subscriber.New(subscriber.Config{
		Name: "one", Protocol: ndjson(t), Habit: subscriber.Steady, Judge: j, Cursor: "begin",
		Gateways: []string{strings.TrimPrefix(server.URL, "http://")},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	for end := time.Now().Add(10 * time.Second); j.Waiting(nil) > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
	if v := j.Verdict(); !v.Clean() {
		t.Errorf("findings: %v", v.Examples)
	}
	if f := j.Figures(); f.Repeats != 1 || f.Gaps != 1 || f.Missed != 1 || f.Delivered != 6 {
		t.Errorf("%+v, want 6 delivered, 1 repeat, and 1 gap of 1 payment", f)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if diff := cmp.Diff([]string{"begin", "c2", "c3", "c6"}, g.asked[:4]); diff != "" {
		t.Errorf("cursors asked for (-want +got):\n%s", diff)
	}
}

// TestTopicMadeAnew has a subscriber be told that its cursor is of another topic: it asks for all of the new one.
func TestTopicMadeAnew(t *testing.T) {
	t.Parallel()
	const refusal = `{"error":{"code":"failed_precondition","message":"m"}}`
	g := &gateway{streams: [][]string{{line(0), line(1)}, {refusal}, {line(0), line(1)}}}
	server := httptest.NewServer(g)
	defer server.Close()
	j := judge.New()
	acknowledge := func() {
		for o := range int64(2) {
			j.Acknowledged(0, o, judge.Payment, traffic.Print(fmt.Appendf(nil, "p-%d", o), 100))
		}
	}
	acknowledge()
	s := subscriber.New(subscriber.Config{
		Name: "one", Protocol: ndjson(t), Habit: subscriber.Steady, Judge: j, Cursor: "begin",
		Gateways: []string{strings.TrimPrefix(server.URL, "http://")},
	})
	j.Anew()
	acknowledge()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	for end := time.Now().Add(10 * time.Second); j.Figures().Delivered < 4 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-done
	if f := j.Figures(); f.Anew != 1 || f.Delivered != 4 || f.Findings != 0 {
		t.Errorf("%+v, want 1 refusal, 4 deliveries and no finding", f)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if diff := cmp.Diff([]string{"begin", "c1", "1970-01-01T00:00:00Z"}, g.asked[:3]); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}

func ndjson(t *testing.T) clienttest.Protocol {
	t.Helper()
	for _, p := range clienttest.Protocols() {
		if p.Name == "NDJSON" {
			return p
		}
	}
	t.Fatal("there is no NDJSON")
	return clienttest.Protocol{}
}
