package inprocess

import (
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"paystream/bench/process"
	"paystream/bench/sample"
	"paystream/broadcast"
	"paystream/consumer"
)

// Appends is a log that is appended to while snapshots are taken: of nothing, of another log of the same
// size, and of this one, in turns of some milliseconds, so that whatever else the machine does meets all
// three alike. The other log takes as much of the caches, of memory and of the collector as this one
// does, and nothing else; what is left is what readers and the appender have to do with each other.
type Appends struct {
	Retained int // payments in each log
	Appends  int // of one payment each
}

// AppendTimes are what appends took of one kind of turns.
type AppendTimes struct {
	// These are CPU time of the appender's thread: what it does, nearly all of it with the lock held, and
	// no waiting for the lock or for a turn on a core.
	P50, P99, P999 time.Duration
	// Wait is how long the process's goroutines have waited for locks, by the runtime's own account, for
	// each append.
	Wait time.Duration
	// Snapshots is how many payments were read meanwhile.
	Snapshots int64
}

// The kinds of turns.
const (
	nobodyReads = iota
	anotherIsRead
	thisIsRead
	turns
)

const appendsPerTurn = 100

// AllAppendTimes are of turns in which nobody reads, another log is read, and this one.
type AllAppendTimes [turns]AppendTimes

func (a Appends) run(payments sample.Payments) (AllAppendTimes, error) {
	var all AllAppendTimes
	records, err := encoded(payments[:a.Retained+a.Appends])
	if err != nil {
		return all, err
	}
	this, another := a.filled(records), a.filled(records)
	readers := [turns]*snapshots{anotherIsRead: newSnapshots(another), thisIsRead: newSnapshots(this)}
	runtime.GC()

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var times [turns][]time.Duration
	for i := a.Retained; i+appendsPerTurn <= len(records); i += appendsPerTurn {
		turn := i / appendsPerTurn % turns
		if err := readers[turn].while(func() error {
			wait := lockWait()
			for _, r := range records[i : i+appendsPerTurn] {
				time.Sleep(50 * time.Microsecond)
				took, err := appendOne(this, r)
				if err != nil {
					return err
				}
				times[turn] = append(times[turn], took)
			}
			all[turn].Wait += lockWait() - wait
			return nil
		}); err != nil {
			return all, err
		}
	}
	for turn, t := range times {
		slices.Sort(t)
		at := func(q float64) time.Duration { return t[min(int(q*float64(len(t))), len(t)-1)] }
		all[turn].P50, all[turn].P99, all[turn].P999 = at(0.5), at(0.99), at(0.999)
		all[turn].Wait /= time.Duration(len(t))
		if r := readers[turn]; r != nil {
			all[turn].Snapshots = r.read.Load()
		}
	}
	return all, nil
}

func encoded(payments sample.Payments) ([]broadcast.Record, error) {
	records := make([]broadcast.Record, len(payments))
	for i := range records {
		p, err := payments[i].Decode(1)
		if err != nil {
			return nil, err
		}
		b, err := proto.Marshal(p)
		if err != nil {
			return nil, err
		}
		records[i] = broadcast.Record{Key: p.GetId(), Value: string(b), Offset: int64(i), Label: consumer.Label(p)}
	}
	return records, nil
}

// filled returns a log that is full.
func (a Appends) filled(records []broadcast.Record) *broadcast.Log {
	log := broadcast.New(broadcast.Limits{Records: a.Retained})
	log.Open(0, 0)
	log.Append(broadcast.Batch{Records: records[:a.Retained], Next: int64(a.Retained)})
	return log
}

// appendOne returns the CPU time that an append took.
func appendOne(log *broadcast.Log, r broadcast.Record) (time.Duration, error) {
	batch := broadcast.Batch{Records: []broadcast.Record{r}, Next: r.Offset + 1}
	begin, err := process.ThreadCPU()
	if err != nil {
		return 0, err
	}
	log.Append(batch)
	end, err := process.ThreadCPU()
	return end - begin, err
}

// lockWait is how long goroutines have waited for locks since the process began.
func lockWait() time.Duration {
	wait := []metrics.Sample{{Name: "/sync/mutex/wait/total:seconds"}}
	metrics.Read(wait)
	return time.Duration(wait[0].Value.Float64() * float64(time.Second))
}

// snapshots takes one snapshot of a log after the other.
type snapshots struct {
	log            *broadcast.Log
	existing, live *broadcast.View
	read           atomic.Int64
}

func newSnapshots(log *broadcast.Log) *snapshots {
	render := func(dst []byte, e broadcast.Entry, _ broadcast.Vector) []byte { return append(dst, e.Value...) }
	return &snapshots{log: log, existing: broadcast.NewView(render), live: broadcast.NewView(render)}
}

// while takes snapshots while do runs, from before it begins; a nil one takes none.
func (s *snapshots) while(do func() error) error {
	if s == nil {
		return do()
	}
	var stop atomic.Bool
	var reader sync.WaitGroup
	reading := make(chan struct{})
	reader.Go(func() {
		for begin := sync.OnceFunc(func() { close(reading) }); !stop.Load(); {
			s.take(&stop, begin)
		}
	})
	<-reading
	err := do()
	stop.Store(true)
	reader.Wait()
	return err
}

// take takes one snapshot, or its beginning, and calls begin when it has some of it.
func (s *snapshots) take(stop *atomic.Bool, begin func()) {
	sub, err := s.log.Subscribe(s.existing, s.live, broadcast.Start{Existing: true})
	for err == nil && sub.Existing() && !stop.Load() {
		var run broadcast.Run
		if run, err = sub.Next(); err == nil {
			s.read.Add(int64(run.Len()))
			begin()
		}
	}
}
