package workload

import (
	"context"

	"paystream/bench/load"
	"paystream/bench/report"
)

const (
	oneReturns     = "1 comes back"
	manyReturn     = "500 come back"
	nobodyReturns  = "nobody comes back"
	oneOfThemDoes  = "1 more comes back"
	returnedWindow = 10 // how many times the window they have missed
)

// backfill: subscribers come back to ten times what the gateway retains, which it reads again from Kafka.
func backfill() Workload {
	return Workload{
		Table: report.Table{
			Name:  "backfill",
			Title: "Backfill: subscribers that have missed ten times the window (1 of 100,000 payments, 500 of 20,000)",
			Notes: []string{"A payment read from Kafka is read once for all that share a reader; the bound is 4 readers at once."},
			Columns: []report.Column{
				{Metric: report.PerSecond, Title: "payments a second"},
				{Metric: report.Wall, Title: "wall"},
				{Metric: report.CPUPer, Title: "CPU per payment"},
				{Metric: report.Readers, Title: "readers"},
				{Metric: report.FromKafka, Title: "read from Kafka"},
			},
		},
		Subjects: []Subject{
			{Name: oneReturns, Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
				return e.backfillRun(ctx, 1, e.size(100_000, 10_000))
			}},
			{Name: manyReturn, Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
				return e.backfillRun(ctx, e.size(500, 20), e.size(20_000, 5_000))
			}},
		},
	}
}

func (e *Env) backfillRun(ctx context.Context, subscribers, payments int) (report.Metrics, error) {
	topic, err := e.filled(ctx, payments)
	if err != nil {
		return nil, err
	}
	s, err := e.gateway(ctx, topic, payments/returnedWindow)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	m, err := e.run(ctx, fanOut{server: s, job: load.Job{
		Protocol: load.GRPC, Topic: topic, Sum: load.SumPayment,
		Groups: []load.Group{{Subscribers: subscribers, Since: true, To: payments}},
	}})
	if err != nil {
		return nil, err
	}
	m[report.PerSecond] = m[report.Deliveries] / m[report.Wall]
	for metric, name := range map[report.Metric]string{
		report.Readers: "paystream_backfill_readers_total", report.FromKafka: "paystream_backfill_payments_total",
	} {
		if m[metric], err = s.metric(ctx, name); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// catchUp: while one comes back to ten times the window, the others should not notice.
func catchUp() Workload {
	return Workload{
		Table: report.Table{
			Name:  "catchup",
			Title: "Catching up: 180 subscribers, 500 payments a second, alone and with one more that has missed 100,000",
			Notes: []string{"The latencies are those of the 180."},
			Columns: []report.Column{
				{Metric: report.P50, Title: "latency p50", Ratio: true},
				{Metric: report.P99, Title: "p99", Ratio: true},
				{Metric: report.ServerCores, Title: "cores"},
			},
			Reference: nobodyReturns,
		},
		Subjects: []Subject{
			{Name: nobodyReturns, Run: func(ctx context.Context, e *Env) (report.Metrics, error) { return e.catchUpRun(ctx, 0) }},
			{Name: oneOfThemDoes, Run: func(ctx context.Context, e *Env) (report.Metrics, error) { return e.catchUpRun(ctx, 1) }},
		},
	}
}

func (e *Env) catchUpRun(ctx context.Context, back int) (report.Metrics, error) {
	existing := e.size(100_000, 10_000)
	topic, err := e.fresh(ctx, existing, lively.step())
	if err != nil {
		return nil, err
	}
	defer e.remove(ctx, topic)
	s, err := e.gateway(ctx, topic, existing/returnedWindow)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	feed := lively.feed(topic, existing, existing+e.size(4, 2)*lively.rate())
	groups := []load.Group{{Subscribers: 180, NewOnly: true, From: existing, To: feed.To}}
	if back > 0 {
		groups = append(groups, load.Group{Subscribers: back, Since: true, To: feed.To})
	}
	return e.run(ctx, fanOut{
		server: s, live: true,
		job:     load.Job{Protocol: load.GRPC, Topic: topic, Sum: load.SumPayment, Latency: true, Groups: groups},
		publish: func(ctx context.Context) ([]int64, error) { return e.feed(ctx, feed) },
	})
}
