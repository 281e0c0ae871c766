package workload

import (
	"context"

	"paystream/bench/load"
	"paystream/bench/report"
)

const (
	noneStalled = "nobody stalled"
	someStalled = "10 % stalled"
)

// slow: some subscribers read nothing; the others should not notice.
func slow() Workload {
	return Workload{
		Table: report.Table{
			Name:  "slow",
			Title: "Slow: 180 subscribers, 500 payments a second, alone and with 20 more that read nothing",
			Notes: []string{"CPU is all that the server uses, divided by what the 180 get; theirs are the latencies, too. " +
				"Streams have HTTP/2's own window of 64 KiB, so the stalled ones stand still after half a second."},
			Columns: []report.Column{
				{Metric: report.CPUPer, Title: "CPU per delivery", Ratio: true},
				{Metric: report.P50, Title: "latency p50"},
				{Metric: report.P99, Title: "p99", Ratio: true},
				{Metric: report.SpreadP99, Title: "fan-out p99"},
			},
			Reference: noneStalled,
		},
		Subjects: []Subject{
			{Name: noneStalled, Run: func(ctx context.Context, e *Env) (report.Metrics, error) { return e.slowRun(ctx, 0) }},
			{Name: someStalled, Run: func(ctx context.Context, e *Env) (report.Metrics, error) { return e.slowRun(ctx, 20) }},
		},
	}
}

func (e *Env) slowRun(ctx context.Context, stalled int) (report.Metrics, error) {
	topic, err := e.fresh(ctx, 0, lively.step())
	if err != nil {
		return nil, err
	}
	defer e.remove(ctx, topic)
	s, err := e.gateway(ctx, topic, e.full())
	if err != nil {
		return nil, err
	}
	defer s.stop()
	feed := lively.feed(topic, 0, e.size(4, 2)*lively.rate())
	groups := []load.Group{{Subscribers: 180, NewOnly: true, To: feed.To}}
	if stalled > 0 {
		groups = append(groups, load.Group{Subscribers: stalled, NewOnly: true, To: feed.To, Stalled: true})
	}
	return e.run(ctx, fanOut{
		server: s, live: true,
		job: load.Job{
			Protocol: load.GRPC, Topic: topic, Sum: load.SumAll, Latency: true, Window: 64<<10 - 1, Groups: groups,
		},
		publish: func(ctx context.Context) ([]int64, error) { return e.feed(ctx, feed) },
	})
}
