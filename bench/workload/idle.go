package workload

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"paystream/bench/baseline"
	"paystream/bench/load"
	"paystream/bench/process"
	"paystream/bench/report"
	"paystream/bench/sample"
)

// layouts are the ways in which waiting subscribers are connected.
var layouts = []struct {
	name string
	job  load.Job
}{
	{"HTTP/2, a connection each", load.Job{Protocol: load.GRPC}},
	{"HTTP/2, 100 a connection", load.Job{Protocol: load.GRPC, StreamsPerConn: 100}},
	{"HTTP/1.1", load.Job{Protocol: load.SSE, HTTP1: true}},
}

// Those that wait.
const (
	waitPaystream = "paystream"
	waitTuned     = "bare handler, tuned alike"
	waitUntuned   = "bare handler, untuned"
)

func waiting(who, layout string) string { return who + ": " + layout }

// idle: what subscribers cost to whom nothing is sent.
func idle() Workload {
	w := Workload{Table: report.Table{
		Name:  "idle",
		Title: "Idle: memory for each of 5,000 subscribers that wait",
		Notes: []string{
			"Heap and stacks are those in use after garbage collections, by Go's own account; RSS is the whole process's, which " +
				"also has what Go keeps for later. Both less what the process had before anyone came, divided by the " +
				"subscribers. The kernel's memory for sockets is in none of it.",
		},
		Columns: []report.Column{
			{Metric: report.MemoryPer, Title: "heap and stacks", Ratio: true},
			{Metric: report.RSSPer, Title: "RSS"},
		},
	}}
	for _, layout := range layouts {
		w.Subjects = append(w.Subjects,
			Subject{Name: waiting(waitPaystream, layout.name), Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
				topic, err := e.filled(ctx, 0)
				if err != nil {
					return nil, err
				}
				s, err := e.gateway(ctx, topic, e.full())
				if err != nil {
					return nil, err
				}
				return e.idleRun(ctx, s, layout.job)
			}, Against: waiting(waitTuned, layout.name)},
			idleHandler(waiting(waitTuned, layout.name), baseline.Handler, layout.name, layout.job),
			idleHandler(waiting(waitUntuned, layout.name), baseline.HandlerUntuned, layout.name, layout.job))
	}
	return w
}

func idleHandler(name, kind, layout string, job load.Job) Subject {
	return Subject{Name: name, Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
		s, err := e.baseline(ctx, kind)
		if err != nil {
			return nil, err
		}
		return e.idleRun(ctx, s, job)
	}, Against: waiting(waitTuned, layout)}
}

// settle is how long those that have just subscribed are left alone.
const settle = 300 * time.Millisecond

// idleRun stops the server.
func (e *Env) idleRun(ctx context.Context, s *server, job load.Job) (report.Metrics, error) {
	defer s.stop()
	child, err := process.Self(ctx, "load", e.sampleFile)
	if err != nil {
		return nil, err
	}
	defer child.Stop()
	n := e.size(5000, 500)
	job.Address, job.Topic, job.Sum = s.address, sample.Topic{Partitions: 3}, load.SumAll
	job.Groups = []load.Group{{Subscribers: n, NewOnly: true}}
	before, err := s.memory(ctx)
	if err != nil {
		return nil, err
	}
	if err := call(ctx, child, "dial", job, nil); err != nil {
		return nil, err
	}
	if err := call(ctx, child, "subscribe", process.None{}, nil); err != nil {
		return nil, err
	}
	time.Sleep(settle)
	after, err := s.memory(ctx)
	if err != nil {
		return nil, err
	}
	if err := call(ctx, child, "finish", load.Finish{Partial: true}, nil); err != nil {
		return nil, err
	}
	return report.Metrics{
		report.MemoryPer: float64(after.heap.Alloc+after.heap.Stacks-before.heap.Alloc-before.heap.Stacks) / float64(n),
		report.RSSPer:    float64(after.rss-before.rss) / float64(n),
		report.PeakRSS:   float64(after.peak),
	}, nil
}

// held is what a server holds.
type held struct {
	heap      process.Heap
	rss, peak int64
}

// memory returns what a server holds after two garbage collections: what finalizers let go of in the
// first one goes in the second.
func (s *server) memory(ctx context.Context) (held, error) {
	var h held
	if s.child != nil {
		if err := call(ctx, s.child, "memory", process.None{}, &h.heap); err != nil {
			return h, err
		}
	} else {
		for range 2 {
			text, err := s.get(ctx, "/debug/pprof/heap?gc=1&debug=1")
			if err != nil {
				return h, fmt.Errorf("read the heap: %w", err)
			}
			if h.heap, err = heapOf(text); err != nil {
				return h, err
			}
		}
	}
	m, err := process.MemoryOf(s.Pid())
	h.rss, h.peak = m.RSS, m.Peak
	return h, err
}

var (
	heapAlloc  = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)
	stackInuse = regexp.MustCompile(`(?m)^# Stack = (\d+) / \d+$`)
)

// heapOf reads what pprof's text says of runtime.MemStats.
func heapOf(text string) (process.Heap, error) {
	read := func(r *regexp.Regexp) int64 {
		m := r.FindStringSubmatch(text)
		if m == nil {
			return 0
		}
		n, _ := strconv.ParseInt(m[1], 10, 64)
		return n
	}
	h := process.Heap{Alloc: read(heapAlloc), Stacks: read(stackInuse)}
	if h.Alloc == 0 || h.Stacks == 0 {
		return h, fmt.Errorf("read the heap: no such lines in %.100q", text)
	}
	return h, nil
}
