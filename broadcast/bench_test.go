package broadcast_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paystream/broadcast"
)

// plain renders as cheaply as can be: what is measured is the log.
func plain(dst []byte, e broadcast.Entry, _ broadcast.Vector) []byte { return append(dst, e.Value...) }

func filled(n int) (*broadcast.Log, *broadcast.View) {
	log := broadcast.New(broadcast.Limits{})
	log.Open(0, 0)
	view := broadcast.NewView(plain)
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

// BenchmarkFrames is the cost of a frame to a sink that takes one at a time.
func BenchmarkFrames(b *testing.B) {
	log, view := filled(200)
	run, err := subscribe(b, log, view, broadcast.Start{Existing: true}).Next()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	bytes := 0
	for n := 0; n < b.N; n += run.Len() {
		for frame := range run.Frames() {
			bytes += len(frame)
		}
	}
}

// BenchmarkSubscribe is the cost of a subscription to what follows, and of asking whether there is any.
func BenchmarkSubscribe(b *testing.B) {
	log, view := filled(1000)
	b.Run("new only", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			subscribe(b, log, view, broadcast.Start{})
		}
	})
	b.Run("ready", func(b *testing.B) {
		sub := subscribe(b, log, view, broadcast.Start{})
		b.ReportAllocs()
		for b.Loop() {
			sub.Ready()
		}
	})
}

// BenchmarkGet looks up keys that are there and keys that are not.
func BenchmarkGet(b *testing.B) {
	const records = 100_000
	log, _ := filled(records)
	keys := make([]string, records)
	for _, prefix := range []string{"k", "none"} {
		for i := range keys {
			keys[i] = fmt.Sprint(prefix, i*7919%records)
		}
		b.Run(prefix, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, ok := log.Get(keys[i%records]); ok != (prefix == "k") {
					b.Fatal(keys[i%records])
				}
			}
		})
	}
}

// BenchmarkAppend is the cost of one record of some 220 bytes in batches of 100, eviction included: all of
// keys of their own, or each key with four states.
func BenchmarkAppend(b *testing.B) {
	const window = 100_000
	rest := strings.Repeat("v", 200)
	for _, states := range []int64{1, 4} {
		b.Run(fmt.Sprint("states=", states), func(b *testing.B) {
			log := broadcast.New(broadcast.Limits{Records: window})
			log.Open(0, 0)
			records := make([]broadcast.Record, 3*window)
			for i := range records {
				records[i].Value = fmt.Sprintf("%020d%s", int64(i)/states, rest)
				records[i].Key = records[i].Value[:20]
			}
			next := int64(0)
			add := func() {
				batch := records[next%int64(len(records)):][:100]
				for i := range batch {
					batch[i].Offset = next
					next++
				}
				log.Append(broadcast.Batch{Records: batch, Next: next})
			}
			for next < 2*window {
				add()
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += 100 {
				add()
			}
		})
	}
}

// BenchmarkAppendWaking is the cost to the appender of one record that subscriptions wait for. ns/op is
// from the append to when the last of them is awake.
func BenchmarkAppendWaking(b *testing.B) {
	for _, n := range []int{0, 1, 100, 1000, 10_000} {
		b.Run(fmt.Sprint("waiting=", n), func(b *testing.B) { appendWaking(b, n) })
	}
}

func appendWaking(b *testing.B, n int) {
	log := broadcast.New(broadcast.Limits{Records: 10_000})
	log.Open(0, 0)
	view := broadcast.NewView(plain)
	var waiting atomic.Int64
	all := make(chan struct{}, 1) // wait
	var readers sync.WaitGroup
	ctx, cancel := context.WithCancel(b.Context())
	for range n {
		sub := subscribe(b, log, view, broadcast.Start{})
		readers.Go(func() {
			for ctx.Err() == nil {
				for more := true; more; {
					run, _ := sub.Next()
					more = run.Len() > 0
				}
				ready := sub.Ready()
				if waiting.Add(1) == int64(n) {
					all <- struct{}{}
				}
				select {
				case <-ready:
				case <-ctx.Done():
				}
			}
		})
	}
	batch := broadcast.Batch{Records: make([]broadcast.Record, 1)}
	appending := time.Duration(0)
	for b.Loop() {
		if n > 0 {
			<-all
		}
		waiting.Store(0)
		batch.Records[0] = broadcast.Record{Key: "key", Value: "value", Offset: batch.Next}
		batch.Next++
		begin := time.Now()
		log.Append(batch)
		appending += time.Since(begin)
	}
	cancel()
	readers.Wait()
	b.ReportMetric(float64(appending.Nanoseconds())/float64(b.N), "append-ns/op")
}

// TestAppendHardlyAllocates: what there is goes to segments, chunks and the directory.
func TestAppendHardlyAllocates(t *testing.T) {
	const records = 5000
	log := broadcast.New(broadcast.Limits{Records: 10_000})
	log.Open(0, 0)
	payments(log, 0, 20_000)
	key := strings.Repeat("k", 20)
	batch := broadcast.Batch{Records: []broadcast.Record{{Key: key, Value: key + strings.Repeat("v", 200)}}, Next: 20_000}
	n := testing.AllocsPerRun(3, func() {
		for range records {
			batch.Records[0].Offset = batch.Next
			batch.Next++
			log.Append(batch)
		}
	})
	if n > records/25 {
		t.Errorf("%v allocations for %d records", n, records)
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
