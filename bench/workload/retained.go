package workload

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/protobuf/proto"

	"paystream/bench/report"
)

// retained: what a payment costs that is kept.
func retained() Workload {
	return Workload{
		Table: report.Table{
			Name:  "retained",
			Title: "Retained: memory for each of 100,000 payments that are kept",
			Notes: []string{"Heap after garbage collections, less that of a gateway on an empty topic. No frames are made: nobody has subscribed."},
			Columns: []report.Column{
				{Metric: report.RecordSize, Title: "encoded payment"},
				{Metric: report.MemoryPer, Title: "heap"},
				{Metric: report.OverheadPer, Title: "beyond the encoded payment"},
				{Metric: report.RSSPer, Title: "RSS"},
			},
		},
		Subjects: []Subject{{Name: waitPaystream, Run: retainedRun}},
	}
}

func retainedRun(ctx context.Context, e *Env) (report.Metrics, error) {
	n := e.full()
	var holds [2]held
	for i, payments := range []int{0, n} {
		topic, err := e.filled(ctx, payments, 3)
		if err != nil {
			return nil, err
		}
		s, err := e.gateway(ctx, topic, n)
		if err != nil {
			return nil, err
		}
		holds[i], err = s.memory(ctx)
		s.stop()
		if err != nil {
			return nil, err
		}
	}
	size := 0
	for _, p := range e.payments[:n] {
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
	topic, err := e.filled(ctx, e.full(), 3)
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
