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
