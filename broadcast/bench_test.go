package broadcast_test

import (
	"fmt"
	"testing"

	"paystream/broadcast"
)

// plain renders as cheaply as can be: what is measured is the log.
func plain(dst []byte, e broadcast.Entry, _ broadcast.Vector) []byte { return append(dst, e.Value...) }

func filled(n int) (*broadcast.Log, *broadcast.View) {
	log := broadcast.New(broadcast.Limits{})
	log.Open(0, 0)
	view := log.NewView(plain)
	fill(log, n)
	return log, view
}

// BenchmarkDelivery is the cost of one delivery, up to the write: shared frames for all readers.
func BenchmarkDelivery(b *testing.B) {
	const records = 10_000
	log, view := filled(records)
	for _, readers := range []int{1, 100} {
		b.Run(fmt.Sprint(readers, " readers"), func(b *testing.B) {
			b.ReportAllocs()
			for delivered := 0; delivered < b.N; {
				for range readers {
					sub, err := log.Subscribe(view, view, broadcast.Start{Cursor: broadcast.Vector{0}})
					if err != nil {
						b.Fatal(err)
					}
					for run, err := sub.Next(); run.Len() > 0; run, err = sub.Next() {
						if err != nil {
							b.Fatal(err)
						}
						delivered += run.Len()
					}
				}
			}
		})
	}
}

// BenchmarkAppend is the cost of one record in batches of 100, eviction included.
func BenchmarkAppend(b *testing.B) {
	log := broadcast.New(broadcast.Limits{Records: 10_000})
	log.Open(0, 0)
	batch := broadcast.Batch{Records: make([]broadcast.Record, 100)}
	b.ReportAllocs()
	for n := 0; n < b.N; n += len(batch.Records) {
		for i := range batch.Records {
			batch.Records[i] = broadcast.Record{Key: fmt.Sprint("key-", batch.Next%5000), Value: "value", Offset: batch.Next}
			batch.Next++
		}
		log.Append(batch)
	}
}

// TestDeliveryDoesNotAllocate holds once the frames are made.
func TestDeliveryDoesNotAllocate(t *testing.T) {
	log, view := filled(2000)
	drain := func() {
		sub, err := log.Subscribe(view, view, broadcast.Start{Cursor: broadcast.Vector{0}})
		if err != nil {
			t.Fatal(err)
		}
		for run, err := sub.Next(); run.Len() > 0; run, err = sub.Next() {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	drain()
	const perSubscribe = 20 // the subscription itself and its vectors
	if n := testing.AllocsPerRun(100, drain); n > perSubscribe {
		t.Errorf("%v allocations for 2000 deliveries", n)
	}
}
