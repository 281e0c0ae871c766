package workload

import (
	"context"

	"paystream/bench/inprocess"
	"paystream/bench/process"
	"paystream/bench/report"
)

const (
	appendAlone    = "nobody reads"
	appendOther    = "snapshots of another log"
	appendSnapshot = "snapshots of this log"
)

// appends: what an append costs and waits for, with and without snapshots being taken.
func appends() Workload {
	all := map[string][]report.Metrics{} // what was measured together, until it is asked for
	of := func(name string) Subject {
		return Subject{Name: name, Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
			if len(all[name]) == 0 {
				if err := e.appendTimes(ctx, all); err != nil {
					return nil, err
				}
			}
			m := all[name][0]
			all[name] = all[name][1:]
			return m, nil
		}}
	}
	return Workload{
		Table: report.Table{
			Name:  "append",
			Title: "Append: how long the log is locked for one payment, while 100,000 are read",
			Notes: []string{
				"No network, no gateway: the log alone, and one goroutine that takes one snapshot after the other. The three rows are " +
					"of one process, in turns of 100 appends. Times are CPU time of the appending thread, nearly all of it with the lock " +
					"held; the wait is for locks, in the whole process, for each append.",
				"Snapshots of another log of the same size take as much of the caches, of memory and of the garbage collector: what " +
					"snapshots of this one cost the appender beyond that is what the two have to do with each other.",
			},
			Columns: []report.Column{
				{Metric: report.AppendP50, Title: "p50"},
				{Metric: report.AppendP99, Title: "p99"},
				{Metric: report.AppendP999, Title: "p99.9", Ratio: true},
				{Metric: report.AppendWait, Title: "wait for locks"},
				{Metric: report.Deliveries, Title: "payments read meanwhile"},
			},
			Reference: appendOther,
		},
		Subjects: []Subject{of(appendAlone), of(appendOther), of(appendSnapshot)},
	}
}

// appendTimes measures all three at once.
func (e *Env) appendTimes(ctx context.Context, all map[string][]report.Metrics) error {
	child, err := process.Self(ctx, "inprocess", e.sampleFile)
	if err != nil {
		return err
	}
	defer child.Stop()
	var times inprocess.AllAppendTimes
	a := inprocess.Appends{Retained: e.full(), Appends: e.size(30_000, 2_000)}
	if err := call(ctx, child, "append", a, &times); err != nil {
		return err
	}
	for i, name := range []string{appendAlone, appendOther, appendSnapshot} {
		t := times[i]
		all[name] = append(all[name], report.Metrics{
			report.AppendP50: t.P50.Seconds(), report.AppendP99: t.P99.Seconds(), report.AppendP999: t.P999.Seconds(),
			report.AppendWait: t.Wait.Seconds(), report.Deliveries: float64(t.Snapshots),
		})
	}
	return nil
}
