package workload

import (
	"context"

	"paystream/bench/report"
)

// Workload is something that paystream and others are measured at.
type Workload struct {
	// Table says how its figures are shown, the subjects in the order of its rows.
	Table    report.Table
	Subjects []Subject
}

// Subject is what is measured, once a round.
type Subject struct {
	Name string
	Run  func(ctx context.Context, e *Env) (report.Metrics, error)
}

// All returns the workloads in the order in which they are run.
func All() []Workload {
	return []Workload{
		saturated(),
		paced(),
		growth(),
		filtered(),
		slow(),
		snapshot(),
	}
}
