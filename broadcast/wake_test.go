package broadcast_test

import (
	"sync"
	"testing"
	"testing/synctest"

	"paystream/broadcast"
)

// TestAppendWakesEverybody with numbers of subscriptions that are woken in different ways.
func TestAppendWakesEverybody(t *testing.T) {
	const appends = 20
	for _, n := range []int{1, 16, 17, 300, 2000} {
		synctest.Test(t, func(t *testing.T) {
			log, view := newLog(broadcast.Limits{}, 1)
			got := make([]int, n)
			var readers sync.WaitGroup
			for i := range n {
				sub := subscribe(t, log, view, broadcast.Start{})
				readers.Go(func() {
					for got[i] < appends {
						<-sub.Ready()
						for run, _ := sub.Next(); run.Len() > 0; run, _ = sub.Next() {
							got[i] += run.Len()
						}
					}
				})
			}
			for range appends {
				synctest.Wait()
				fill(log, 1)
			}
			readers.Wait() // a deadlock when somebody was not woken
		})
	}
}

// TestNoWakeUpIsLost when appends and waits race.
func TestNoWakeUpIsLost(t *testing.T) {
	const records = 20_000
	log, view := newLog(broadcast.Limits{}, 1)
	var readers sync.WaitGroup
	for range 8 {
		sub := subscribe(t, log, view, broadcast.Start{})
		readers.Go(func() {
			for got := 0; got < records; {
				<-sub.Ready()
				for run, _ := sub.Next(); run.Len() > 0; run, _ = sub.Next() {
					got += run.Len()
				}
			}
		})
	}
	fill(log, records)
	readers.Wait()
}

func TestReady(t *testing.T) {
	log, view := newLog(broadcast.Limits{}, 1)
	sub := subscribe(t, log, view, broadcast.Start{})
	ready := func() bool {
		select {
		case <-sub.Ready():
			return true
		default:
			return false
		}
	}
	first := sub.Ready()
	if ready() || sub.Ready() != first {
		t.Error("with nothing to read, it is ready or waits in two places")
	}
	log.Append(broadcast.Batch{Next: 5})
	if ready() {
		t.Error("ready after an append of nothing that is kept")
	}
	log.Append(broadcast.Batch{Records: []broadcast.Record{record("a", 5)}, Next: 6})
	if !ready() {
		t.Error("not ready with a record to read")
	}
	drain(t, sub)
	if ready() {
		t.Error("ready, having read all")
	}
}
