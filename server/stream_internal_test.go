package server

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"github.com/google/go-cmp/cmp"

	"paystream/broadcast"
)

// timed notes when what is sent; events are sent at fixed times.
type timed struct {
	begin time.Time
	got   []string
}

func (s *timed) note(what string) error {
	s.got = append(s.got, fmt.Sprint(time.Since(s.begin), " ", what))
	return nil
}

func (s *timed) open(context.Context, string) error { return s.note("open") }
func (s *timed) send(broadcast.Run, bool) error     { return s.note("event") }
func (s *timed) flush() error                       { return nil }
func (s *timed) heartbeat(string) error             { return s.note("heartbeat") }
func (s *timed) idle(string) error                  { return s.note("idle") }
func (s *timed) end(*connect.Error)                 {}
func (s *timed) close()                             {}

func TestSignsOfLife(t *testing.T) {
	tests := []struct {
		name       string
		beat, idle time.Duration
		want       []string
	}{
		{"none asked for, none given", 0, 0, []string{"0s open", "20s event"}},
		{"heartbeats begin anew behind an event", 8 * time.Second, 0, []string{"0s open", "8s heartbeat", "16s heartbeat", "20s event", "28s heartbeat"}},
		{"idle signs alone", 0, 15 * time.Second, []string{"0s open", "15s idle", "20s event"}},
		{"an idle sign is no heartbeat", 18 * time.Second, 15 * time.Second, []string{"0s open", "15s idle", "18s heartbeat", "20s event"}},
		{"heartbeats keep awake too", 12 * time.Second, 15 * time.Second, []string{"0s open", "12s heartbeat", "20s event"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := &timed{begin: time.Now()}
				_ = out.open(t.Context(), "")
				clock := newIdleClock(test.beat, test.idle)
				defer clock.stop()
				event, end := time.After(20*time.Second), time.After(31*time.Second)
				for {
					select {
					case <-event:
						_ = out.send(broadcast.Run{}, true)
						clock.wrote()
					case <-clock.due():
						_ = clock.tick(out, "")
					case <-end:
						if diff := cmp.Diff(test.want, out.got); diff != "" {
							t.Errorf("(-want +got):\n%s", diff)
						}
						return
					}
				}
			})
		})
	}
}
