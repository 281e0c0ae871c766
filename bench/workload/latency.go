package workload

import (
	"context"
	"time"

	"paystream/bench/baseline"
	"paystream/bench/load"
	"paystream/bench/report"
)

// crowd is 1,000 subscribers that get a payment each 50 ms: hardly any work, so that what is seen is
// how long it takes to go round.
var crowd = pace{subscribers: 1000, batch: 1, every: 50 * time.Millisecond, seconds: 5}

// latency: how long it takes until everybody has a payment.
func latency() Workload {
	return Workload{
		Table: report.Table{
			Name:  "latency",
			Title: "Latency: 1,000 subscribers, 20 payments a second",
			Notes: []string{"Fan-out is from the first subscriber that has a payment to each of the others; latency is as in Paced."},
			Columns: []report.Column{
				{Metric: report.SpreadP50, Title: "fan-out p50", Ratio: true},
				{Metric: report.SpreadP99, Title: "fan-out p99", Ratio: true},
				{Metric: report.P50, Title: "latency p50"},
				{Metric: report.P99, Title: "p99"},
				{Metric: report.CPUPer, Title: "CPU per delivery"},
			},
			Reference: bareTCP,
		},
		Subjects: []Subject{
			{Name: paystreamGRPC, Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
				return e.pacedGateway(ctx, load.Job{Protocol: load.GRPC}, crowd)
			}},
			{Name: bareTCP, Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
				return e.pacedBaseline(ctx, baseline.TCP, load.Job{Protocol: load.TCP}, crowd)
			}},
		},
	}
}
