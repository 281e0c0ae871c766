package workload

import (
	"context"

	"paystream/bench/inprocess"
	"paystream/bench/process"
	"paystream/bench/report"
)

const (
	ingest3      = "paystream's consumer and log, 3 partitions"
	ingest50     = "paystream's consumer and log, 50 partitions"
	reader3      = "kafka.Reader that counts, 3 partitions"
	reader50     = "kafka.Reader that counts, 50 partitions"
	decodeOurs   = "paystream's decoder"
	encodingJSON = "encoding/json into a struct"
)

// ingest: from Kafka to the log.
func ingest() Workload {
	of := func(name, call string, partitions int) Subject {
		return Subject{Name: name, Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
			topic, err := e.filled(ctx, e.samples(), partitions)
			if err != nil {
				return nil, err
			}
			return e.cost(ctx, call, inprocess.Work{Brokers: e.brokers, Topic: topic, Records: e.samples(), Passes: 3})
		}}
	}
	return Workload{
		Table: report.Table{
			Name:  "ingest",
			Title: "Ingest: from Kafka to the log",
			Notes: []string{
				"paystream's figures have everything in them up to the append: fetching, decoding, checking, encoding. " +
					"kafka.Reader's, one reader for each partition, have nothing but the fetching. The broker is another process.",
			},
			Columns: []report.Column{
				{Metric: report.RecordsPerCPU, Title: "payments per CPU second", Ratio: true},
				{Metric: report.Wall, Title: "wall"},
			},
			Reference: reader3,
		},
		Subjects: []Subject{
			of(ingest3, "consume", 3), of(reader3, "count", 3), of(ingest50, "consume", 50), of(reader50, "count", 50),
		},
	}
}

// decode: from a record's JSON to a payment.
func decode() Workload {
	of := func(name, call string) Subject {
		return Subject{Name: name, Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
			return e.cost(ctx, call, inprocess.Work{Records: e.samples(), Passes: 2})
		}}
	}
	return Workload{
		Table: report.Table{
			Name:  "decode",
			Title: "Decode: from a record's JSON to a payment",
			Notes: []string{"paystream's decoder checks everything and makes the whole Payment; encoding/json fills a struct."},
			Columns: []report.Column{
				{Metric: report.CPUPerRecord, Title: "CPU per payment", Ratio: true},
			},
			Reference: encodingJSON,
		},
		Subjects: []Subject{of(decodeOurs, "decode"), of(encodingJSON, "unmarshal")},
	}
}

// cost has a process of its own do some work.
func (e *Env) cost(ctx context.Context, name string, w inprocess.Work) (report.Metrics, error) {
	child, err := process.Self(ctx, "inprocess", e.sampleFile)
	if err != nil {
		return nil, err
	}
	defer child.Stop()
	var cost inprocess.Cost
	if err := call(ctx, child, name, w, &cost); err != nil {
		return nil, err
	}
	records := float64(cost.Records)
	return report.Metrics{
		report.Records:       records,
		report.RecordsPerCPU: records / cost.CPU.Seconds(),
		report.CPUPerRecord:  cost.CPU.Seconds() / records,
		report.ServerCPU:     cost.CPU.Seconds(),
		report.Wall:          cost.Wall.Seconds(),
	}, nil
}

const (
	appendAlone    = "nobody reads"
	appendSnapshot = "one takes snapshots"
)

// appends: what an append waits for, with and without snapshots being taken.
func appends() Workload {
	of := func(name string, snapshots int) Subject {
		return Subject{Name: name, Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
			return e.appendTimes(ctx, inprocess.Appends{
				Retained: e.full(), Appends: e.size(15_000, 2_000), Snapshots: snapshots,
			})
		}}
	}
	return Workload{
		Table: report.Table{
			Name:  "append",
			Title: "Append: how long one takes, waiting for locks included, while the log of 100,000 is read",
			Notes: []string{
				"No network, no gateway: the log alone, and one goroutine that takes one snapshot after the other, on a core of its " +
					"own, so that what it adds is waiting for locks and not for a turn.",
			},
			Columns: []report.Column{
				{Metric: report.AppendP50, Title: "p50"},
				{Metric: report.AppendP99, Title: "p99"},
				{Metric: report.AppendP999, Title: "p99.9", Ratio: true},
				{Metric: report.Deliveries, Title: "payments read meanwhile"},
			},
			Reference: appendAlone,
		},
		Subjects: []Subject{of(appendAlone, 0), of(appendSnapshot, 1)},
	}
}

func (e *Env) appendTimes(ctx context.Context, a inprocess.Appends) (report.Metrics, error) {
	child, err := process.Self(ctx, "inprocess", e.sampleFile)
	if err != nil {
		return nil, err
	}
	defer child.Stop()
	var t inprocess.AppendTimes
	if err := call(ctx, child, "append", a, &t); err != nil {
		return nil, err
	}
	return report.Metrics{
		report.AppendP50: t.P50.Seconds(), report.AppendP99: t.P99.Seconds(), report.AppendP999: t.P999.Seconds(),
		report.Deliveries: float64(t.Snapshots),
	}, nil
}
