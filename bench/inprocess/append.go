package inprocess

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"paystream/bench/sample"
	"paystream/broadcast"
	"paystream/consumer"

	"google.golang.org/protobuf/proto"
)

// Appends is a log that is appended to while others take snapshots of it.
type Appends struct {
	Retained int // payments in the log
	Appends  int // of one payment each
	// Snapshots is how many read all existing payments at the same time, again and again.
	Snapshots int
}

// AppendTimes are how long an append took, waiting for locks included.
type AppendTimes struct {
	P50, P99, P999 time.Duration
	// Snapshots is how many payments were read meanwhile.
	Snapshots int64
}

func (a Appends) run(payments sample.Payments) (AppendTimes, error) {
	records := make([]broadcast.Record, a.Retained+a.Appends)
	for i := range records {
		p, err := payments[i].Decode(1)
		if err != nil {
			return AppendTimes{}, err
		}
		b, err := proto.Marshal(p)
		if err != nil {
			return AppendTimes{}, err
		}
		records[i] = broadcast.Record{Key: p.GetId(), Value: string(b), Offset: int64(i), Label: consumer.Label(p)}
	}
	log := broadcast.New(broadcast.Limits{Records: a.Retained})
	log.Open(0, 0)
	log.Append(broadcast.Batch{Records: records[:a.Retained], Next: int64(a.Retained)})
	render := func(dst []byte, e broadcast.Entry, _ broadcast.Vector) []byte { return append(dst, e.Value...) }
	existing, live := log.NewView(render), log.NewView(render)

	var stop atomic.Bool
	var read atomic.Int64
	var readers sync.WaitGroup
	for range a.Snapshots {
		readers.Go(func() {
			for !stop.Load() {
				sub, err := log.Subscribe(existing, live, broadcast.Start{Existing: true})
				for err == nil && sub.Existing() && !stop.Load() {
					var run broadcast.Run
					if run, err = sub.Next(); err == nil {
						read.Add(int64(run.Len()))
					}
				}
			}
		})
	}
	times := make([]time.Duration, a.Appends)
	for i := range times {
		time.Sleep(100 * time.Microsecond)
		r := records[a.Retained+i:][:1]
		begin := time.Now()
		log.Append(broadcast.Batch{Records: r, Next: r[0].Offset + 1})
		times[i] = time.Since(begin)
	}
	stop.Store(true)
	readers.Wait()
	slices.Sort(times)
	at := func(q float64) time.Duration { return times[min(int(q*float64(len(times))), len(times)-1)] }
	return AppendTimes{P50: at(0.5), P99: at(0.99), P999: at(0.999), Snapshots: read.Load()}, nil
}
