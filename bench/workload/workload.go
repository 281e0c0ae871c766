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
	// Against is the subject that it is compared with, where that is not the table's reference.
	Against string
}

// Rows returns the table with its rows.
func (w Workload) Rows() report.Table {
	t := w.Table
	t.Rows = nil
	for _, s := range w.Subjects {
		row := report.Row{Subject: s.Name, Against: s.Against}
		if row.Against == "" {
			row.Against = t.Reference
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// All returns the workloads in the order in which they are run.
func All() []Workload {
	return []Workload{
		saturated(),
		paced(),
		growth(),
		filtered(),
		slow(),
		backfill(),
		catchUp(),
		snapshot(),
		appends(),
		idle(),
		ingest(),
		decode(),
		latency(),
		retained(),
		start(),
		kafkaLatency(),
	}
}
