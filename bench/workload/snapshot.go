package workload

import (
	"context"

	"paystream/bench/load"
	"paystream/bench/report"
)

// snapshot: many come at once and want everything, while payments keep coming.
func snapshot() Workload {
	return Workload{
		Table: report.Table{
			Name:  "snapshot",
			Title: "Snapshot: 100 new subscribers take 100,000 existing payments while 500 a second keep coming",
			Columns: []report.Column{
				{Metric: report.PerCPU, Title: "payments per CPU second"},
				{Metric: report.CPUPer, Title: "CPU per payment"},
				{Metric: report.Wall, Title: "wall"},
				{Metric: report.LoadCPU, Title: "load's CPU"},
			},
		},
		Subjects: []Subject{{Name: paystreamGRPC, Run: snapshotRun}},
	}
}

func snapshotRun(ctx context.Context, e *Env) (report.Metrics, error) {
	existing := e.size(100_000, 3_000)
	topic, err := e.fresh(ctx, existing, lively.step())
	if err != nil {
		return nil, err
	}
	defer e.remove(ctx, topic)
	feed := lively.feed(topic, existing, existing+2*lively.rate())
	s, err := e.gateway(ctx, topic, feed.To) // so that none leaves before everybody has it
	if err != nil {
		return nil, err
	}
	defer s.stop()
	return e.run(ctx, fanOut{
		server: s,
		job: load.Job{
			Protocol: load.GRPC, Topic: topic, Sum: load.SumAll,
			Groups: []load.Group{{Subscribers: 100, To: feed.To, Existing: existing}},
		},
		publish: func(ctx context.Context) ([]int64, error) { return e.feed(ctx, feed) },
	})
}
