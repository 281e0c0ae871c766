package workload

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"

	"paystream/bench/report"
	"paystream/bench/sample"
)

const retainedMoving = "paystream, after half as many have left"

// retained: what a payment costs that is kept.
func retained() Workload {
	return Workload{
		Table: report.Table{
			Name:  "retained",
			Title: "Retained: memory for each of 100,000 payments that are kept",
			Notes: []string{
				"Heap after garbage collections, less that of a gateway on an empty topic. No frames are made: nobody has subscribed.",
				"After half as many have left: 50,000 more have come live, one at a time. An eighth as many as are kept stay readable, for " +
					"clients that come back.",
			},
			Columns: []report.Column{
				{Metric: report.RecordSize, Title: "encoded payment"},
				{Metric: report.MemoryPer, Title: "heap"},
				{Metric: report.OverheadPer, Title: "beyond the encoded payment"},
				{Metric: report.RSSPer, Title: "RSS"},
			},
		},
		Subjects: []Subject{{Name: waitPaystream, Run: retainedRun}, {Name: retainedMoving, Run: movingRun}},
	}
}

func retainedRun(ctx context.Context, e *Env) (report.Metrics, error) {
	n := e.full()
	topic, err := e.filled(ctx, n)
	if err != nil {
		return nil, err
	}
	return e.retains(ctx, topic, n, sample.Feed{To: n})
}

func movingRun(ctx context.Context, e *Env) (report.Metrics, error) {
	n := e.full()
	topic, err := e.fresh(ctx, n, time.Millisecond)
	if err != nil {
		return nil, err
	}
	defer e.remove(ctx, topic)
	return e.retains(ctx, topic, n, sample.Feed{Topic: topic, From: n, To: n + n/2, Batch: 1, Every: 100 * time.Microsecond})
}

// retains measures a gateway that keeps n payments and is fed.
func (e *Env) retains(ctx context.Context, topic sample.Topic, n int, feed sample.Feed) (report.Metrics, error) {
	none, err := e.filled(ctx, 0)
	if err != nil {
		return nil, err
	}
	var holds [2]held
	for i, topic := range []sample.Topic{none, topic} {
		s, err := e.gateway(ctx, topic, n)
		if err != nil {
			return nil, err
		}
		if i == 1 && feed.Batch > 0 {
			err = e.pour(ctx, s, feed)
		}
		if err == nil {
			holds[i], err = s.memory(ctx)
		}
		s.stop()
		if err != nil {
			return nil, err
		}
	}
	size := 0
	for _, p := range e.payments[feed.To-n : feed.To] {
		message, err := p.Decode(1)
		if err != nil {
			return nil, err
		}
		size += proto.Size(message)
	}
	heap := float64(holds[1].heap.Alloc-holds[0].heap.Alloc) / float64(n)
	encoded := float64(size) / float64(n)
	return report.Metrics{
		report.RecordSize:  encoded,
		report.MemoryPer:   heap,
		report.OverheadPer: heap - encoded,
		report.RSSPer:      float64(holds[1].rss-holds[0].rss) / float64(n),
	}, nil
}

// pour feeds a gateway and waits until it has all.
func (e *Env) pour(ctx context.Context, s *server, feed sample.Feed) error {
	if _, err := e.feed(ctx, feed); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		next, err := s.metric(ctx, "paystream_next_offset")
		if err != nil || int(next) == feed.To {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("only %.0f of %d payments have come: %w", next, feed.To, ctx.Err())
		}
	}
}

// start: from the start of the process to the first event.
func start() Workload {
	return Workload{
		Table: report.Table{
			Name:  "start",
			Title: "Start: from the start of the process, with 100,000 payments on Kafka, to the first event at a subscriber",
			Columns: []report.Column{
				{Metric: report.FirstEvent, Title: "first event"},
				{Metric: report.ServerCPU, Title: "CPU"},
				{Metric: report.PeakRSS, Title: "peak RSS"},
			},
		},
		Subjects: []Subject{{Name: waitPaystream, Run: startRun}},
	}
}

func startRun(ctx context.Context, e *Env) (report.Metrics, error) {
	topic, err := e.filled(ctx, e.full())
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	s, err := e.startGateway(ctx, topic, e.full())
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if err := s.firstEvent(ctx); err != nil {
		return nil, err
	}
	took := time.Since(begin)
	m := report.Metrics{report.FirstEvent: took.Seconds()}
	return m, s.spent(m)
}

// firstEvent asks for payments until one comes.
func (s *server) firstEvent(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/payments/stream?limit=1", nil)
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("ask for the first event: %w", err)
		}
		if res.StatusCode == http.StatusOK {
			_, err = bufio.NewReader(res.Body).ReadBytes('\n')
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return err
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("no event has come: %w", ctx.Err())
		}
	}
}
