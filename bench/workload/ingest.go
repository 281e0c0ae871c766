package workload

import (
	"context"
	"path/filepath"
	"time"

	"paystream/bench/inprocess"
	"paystream/bench/process"
	"paystream/bench/report"
	"paystream/bench/sample"
)

const (
	ingest3      = "paystream's consumer and log, 3 partitions"
	ingest50     = "paystream's consumer and log, 50 partitions"
	reader3      = "kafka.Reader that counts, 3 partitions"
	reader50     = "kafka.Reader that counts, 50 partitions"
	decodeOurs   = "paystream's decoder"
	encodingJSON = "encoding/json into a struct"
)

// repeats is how many times over a topic of ingest holds the payments, the same ids again behind the log's
// window. With the payments once, two thirds of a run were spent filling the log and its index, and what a
// process needs to start counted as much as 30,000 payments.
const repeats = 6

// ingest: from Kafka to the log.
func ingest() Workload {
	of := func(name, call string, partitions int) Subject {
		return Subject{Name: name, Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
			topic, err := e.repeated(ctx, partitions)
			if err != nil {
				return nil, err
			}
			// Payments in these processes would be so much live heap that garbage is hardly ever collected.
			nothing := filepath.Join(e.Dir, "nothing")
			if err := (sample.Payments{}).Write(nothing); err != nil {
				return nil, err
			}
			return e.cost(ctx, nothing, call, inprocess.Work{
				Brokers: e.brokers, Topic: topic, Records: repeats * e.samples(), Passes: 1,
			})
		}}
	}
	return Workload{
		Table: report.Table{
			Name:  "ingest",
			Title: "Ingest: from Kafka to the log",
			Notes: []string{
				"paystream's figures have everything in them up to the append: fetching, checking each batch, read_committed, decoding, " +
					"checking, encoding. kafka.Reader's, one reader for each partition, have nothing but the fetching: not even the " +
					"batches' checksums. Both read the same batches, from a broker in another process, which are compressed (snappy); " +
					"CPU is of the whole process, from before it connects until it has read everything.",
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

// repeated returns a topic that holds the payments so many times over, the same one each time.
func (e *Env) repeated(ctx context.Context, partitions int) (sample.Topic, error) {
	n := e.samples()
	what := [2]int{repeats * n, partitions}
	if topic, ok := e.topics[what]; ok {
		return topic, nil
	}
	topic := sample.NewTopic(e.newName(), partitions, time.Millisecond, repeats*n, time.Now().Add(-time.Second))
	if err := call(ctx, e.broker, "create", topic, nil); err != nil {
		return topic, err
	}
	for i := range repeats {
		later := topic
		later.Base = topic.Millis(i * n)
		if err := call(ctx, e.broker, "fill", sample.Feed{Topic: later, To: n}, nil); err != nil {
			return topic, err
		}
	}
	e.topics[what] = topic
	return topic, nil
}

// decode: from a record's JSON to a payment's encoding.
func decode() Workload {
	of := func(name, call string) Subject {
		return Subject{Name: name, Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
			return e.cost(ctx, e.sampleFile, call, inprocess.Work{Records: e.samples(), Passes: 4})
		}}
	}
	return Workload{
		Table: report.Table{
			Name:  "decode",
			Title: "Decode: from a record's JSON to a payment's encoding",
			Notes: []string{
				"paystream's decoder checks everything and writes the whole Payment's protobuf encoding, as the gateway has it do; " +
					"encoding/json fills a struct.",
			},
			Columns: []report.Column{
				{Metric: report.CPUPerRecord, Title: "CPU per payment", Ratio: true},
			},
			Reference: encodingJSON,
		},
		Subjects: []Subject{of(decodeOurs, "decode"), of(encodingJSON, "unmarshal")},
	}
}

// cost has a process of its own, which has the payments of that file in memory, do some work.
func (e *Env) cost(ctx context.Context, file, name string, w inprocess.Work) (report.Metrics, error) {
	child, err := process.Self(ctx, "inprocess", file)
	if err != nil {
		return nil, err
	}
	defer child.Stop()
	if w.Profile, err = e.newProfile(name); err != nil {
		return nil, err
	}
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
