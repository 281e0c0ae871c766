package server

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"paystream/broadcast"
)

// past is a history of one log, which has all.
type past struct {
	log         *broadcast.Log
	asked, left int
}

func (p *past) Since(context.Context, time.Time) (broadcast.Vector, []int32, error) {
	return nil, nil, nil
}

func (p *past) Check(context.Context, broadcast.Vector, []int32) ([]broadcast.Gap, error) {
	return nil, nil
}
func (p *past) CheckTopic(context.Context) error   { return nil }
func (p *past) Backfill(broadcast.Vector) Backfill { p.asked++; return p }
func (p *past) Ready() <-chan struct{}             { return closed }
func (p *past) Log() *broadcast.Log                { return p.log }
func (p *past) Over() bool                         { return false }
func (p *past) Leave()                             { p.left++ }

// TestSlowStreamsKeepTheirBackfill: a stream goes back to the log where it does not fall out at once, or has nothing
// else to read.
func TestSlowStreamsKeepTheirBackfill(t *testing.T) {
	t.Parallel()
	const window = 40
	tests := []struct {
		name   string
		read   int // in each round, in which 10 are published
		rounds int
		rejoin bool // in these rounds
	}{
		{"as slow as what comes, at the edge", 10, 20, false},
		{"slower", 9, 20, false},
		{"gaining", 12, 10, true},
		{"catching up at once", 1000, 1, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			log, back := broadcast.New(broadcast.Limits{Records: window}), &past{log: broadcast.New(broadcast.Limits{})}
			log.Open(0, 0)
			back.log.Open(0, 0)
			offset, got := int64(0), 0
			publish := func(n int) {
				for range n {
					b := broadcast.Batch{Next: offset + 1, Records: []broadcast.Record{{
						Key: fmt.Sprint(offset), Value: strings.Repeat("x", 64<<10), Offset: offset, // one a run
					}}}
					log.Append(b)
					back.log.Append(b)
					offset++
				}
			}
			view := broadcast.NewView(func(dst []byte, e broadcast.Entry, _ broadcast.Vector) []byte { return append(dst, e.Key...) })
			publish(2 * window)
			f := feed{log: log, source: fixedSource{back}, views: &format{existing: view, live: view}}
			f.goBack(broadcast.Vector{0})
			read := func(n int) {
				for ; n > 0 && !f.CaughtUp(); n-- {
					run, err := f.Next(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					for frame := range run.Frames() {
						if string(frame) != fmt.Sprint(got) {
							t.Fatalf("%s instead of %d", frame, got)
						}
						got++
					}
				}
				f.Ready()
			}
			read(window)
			for range test.rounds {
				publish(10)
				read(test.read)
			}
			if rejoined := f.back == nil; rejoined != test.rejoin || back.asked != 1 {
				t.Errorf("is back in the log: %v; %d backfills", rejoined, back.asked)
			}
			read(1000)
			if int64(got) != offset || f.back != nil || back.left != 1 {
				t.Errorf("got %d of %d; %d backfills left", got, offset, back.left)
			}
		})
	}
}
