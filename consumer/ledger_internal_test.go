package consumer

import (
	"math/rand/v2"
	"testing"
)

func TestLedger(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		ledger *ledger
		do     func(*ledger)
		next   int64
		want   int64
	}{
		{"nothing is settled before one knows what was there", newLedger(5, 0), func(*ledger) {}, 9, 5},
		{"nothing committed: from the window's beginning", newLedger(-1, 7), func(l *ledger) { l.found(20) }, 30, 7},
		{"looked through", newLedger(5, 0), func(l *ledger) { l.found(9); l.done(9) }, 12, 12},
		{"half looked through", newLedger(5, 0), func(l *ledger) { l.found(9); l.done(7) }, 12, 7},
		{"a bad record holds what is behind it", newLedger(5, 0), func(l *ledger) { l.found(5); l.met(8); l.met(10) }, 12, 8},
		{"until it is written", newLedger(5, 0), func(l *ledger) { l.found(5); l.met(8); l.met(10); l.done(9) }, 12, 10},
		{"all written", newLedger(5, 0), func(l *ledger) { l.found(5); l.met(8); l.done(9) }, 12, 12},
		{"met while one asks what was there", newLedger(5, 0), func(l *ledger) { l.met(6); l.met(9); l.found(8); l.done(8) }, 12, 9},
		{"what is not in the log is not settled", newLedger(5, 0), func(l *ledger) { l.found(9); l.done(9) }, 6, 6},
		{"committed behind what is there", newLedger(50, 0), func(l *ledger) { l.found(9) }, 60, 60},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.do(test.ledger)
			if got := test.ledger.settled(test.next); got != test.want {
				t.Errorf("settled up to %d, want %d", got, test.want)
			}
		})
	}
}

// TestLedgerForgetsNoBadRecord: whatever comes in whatever order, all bad records are looked at before what is behind
// them is settled.
func TestLedgerForgetsNoBadRecord(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		bad := map[int64]bool{}
		begin := r.Int64N(50)
		for o := range begin + 100 {
			bad[o] = r.IntN(3) == 0
		}
		l := newLedger(r.Int64N(begin+1)-1, 0)
		first := l.from
		written := map[int64]bool{}
		next := begin
		check := func() {
			for o := first; o < l.settled(next); o++ {
				if bad[o] && !written[o] {
					t.Fatalf("seed %d: %d is settled, but not written", seed, o)
				}
			}
		}
		for next < begin+100 || l.settled(next) < next {
			switch r.IntN(3) {
			case 0:
				if next < begin+100 {
					if bad[next] {
						l.met(next)
					}
					next++
				}
			case 1:
				if l.to == unknown {
					l.found(next)
				}
			default:
				at, _, ok := l.todo()
				if !ok {
					break
				}
				end := min(at+1+r.Int64N(20), begin+100) // what is read may be ahead of what was met
				upTo := l.upTo(end)
				for o := at; o < min(end, upTo); o++ {
					if bad[o] && l.wants(o) {
						if written[o] {
							t.Fatalf("seed %d: %d is written twice", seed, o)
						}
						written[o] = true
					}
				}
				for range r.IntN(5) { // while it is being written
					if next < begin+100 {
						if bad[next] {
							l.met(next)
						}
						next++
					}
				}
				l.done(upTo)
			}
			check()
		}
	}
}
