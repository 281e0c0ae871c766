package workload

import (
	"context"
	"fmt"

	"paystream/bench/baseline"
	"paystream/bench/load"
	"paystream/bench/report"
	"paystream/bench/sample"
)

// growth: the same from a filled log for more and more subscribers.
func growth() Workload {
	w := Workload{Table: report.Table{
		Name:  "growth",
		Title: "Growth: from 10 to 5,000 subscribers, each taking the newest payments of a filled log",
		Notes: []string{
			"Measured from when all have subscribed: HTTP/2's flow control holds every stream back until then. The more " +
				"subscribers, the fewer payments each takes; with 10, making the frames is shared by few.",
		},
		Columns: []report.Column{
			{Metric: report.CPUPer, Title: "CPU per delivery", Ratio: true},
			{Metric: report.Deliveries, Title: "deliveries"},
			{Metric: report.Wall, Title: "wall"},
			{Metric: report.LoadCPU, Title: "load's CPU"},
			{Metric: report.PeakRSS, Title: "peak RSS"},
		},
		Reference: grown("paystream", 100),
	}}
	for _, size := range []struct{ subscribers, payments, quick int }{
		{10, 100_000, 10_000}, {100, 50_000, 5_000}, {1000, 5_000, 500}, {5000, 1_000, 100},
	} {
		w.Subjects = append(w.Subjects, Subject{Name: grown("paystream", size.subscribers), Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
			return e.grownGateway(ctx, size.subscribers, e.size(size.payments, size.quick))
		}})
	}
	for _, size := range []struct{ subscribers, payments, quick int }{{100, 50_000, 5_000}, {5000, 1_000, 100}} {
		w.Subjects = append(w.Subjects, Subject{Name: grown("bare TCP", size.subscribers), Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
			return e.grownTCP(ctx, size.subscribers, e.size(size.payments, size.quick))
		}})
	}
	return w
}

func grown(who string, subscribers int) string {
	return fmt.Sprintf("%s, %d subscribers", who, subscribers)
}

// newest is subscribers that take the last n payments of a filled log.
func (e *Env) newest(subscribers, n int) load.Group {
	return load.Group{Subscribers: subscribers, Limit: n, From: e.full() - n, To: e.full(), Existing: e.full()}
}

func (e *Env) grownGateway(ctx context.Context, subscribers, payments int) (report.Metrics, error) {
	topic, err := e.filled(ctx, e.full())
	if err != nil {
		return nil, err
	}
	s, err := e.gateway(ctx, topic, e.full())
	if err != nil {
		return nil, err
	}
	defer s.stop()
	return e.run(ctx, fanOut{server: s, job: load.Job{
		Protocol: load.GRPC, Topic: topic, Sum: load.SumAll, Gated: true,
		Groups: []load.Group{e.newest(subscribers, payments)},
	}})
}

func (e *Env) grownTCP(ctx context.Context, subscribers, payments int) (report.Metrics, error) {
	topic, err := e.filled(ctx, e.full())
	if err != nil {
		return nil, err
	}
	s, err := e.baseline(ctx, baseline.TCP)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	g := e.newest(subscribers, payments)
	feed := sample.Feed{Topic: topic, From: g.From, To: g.To, Batch: payments}
	if err := s.prepare(ctx, feed, sample.Existing); err != nil {
		return nil, err
	}
	return e.run(ctx, fanOut{
		server: s, live: true,
		job: load.Job{Protocol: load.TCP, Topic: topic, Sum: load.SumAll, Groups: []load.Group{g}},
		publish: func(ctx context.Context) ([]int64, error) {
			return s.feed(ctx, feed)
		},
	})
}
