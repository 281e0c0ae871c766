package scaling

import (
	"fmt"
	"math"

	"paystream/bench/report"
)

// Costs are what a bench has measured, each the median of its rounds, rounded to two digits that count:
// so what is computed from them can be computed again from the page, and moves only with them. CPU is the
// gateway's alone, in seconds of one core.
type Costs struct {
	// Single, Fives and CatchUp are the same payments, coming in three ways.
	Single, Fives, CatchUp Pace
	Protocols              []Protocol
	Growth                 []Growth
	Layouts                []Layout
	// ExaminedCPUSeconds is for each payment that a subscriber's filter has looked at, of those with a filter.
	ExaminedCPUSeconds float64
	// IngestManyPartitionsCPUSeconds is CatchUp.IngestCPUSeconds with 50 partitions in place of 3.
	IngestManyPartitionsCPUSeconds float64
	// RecordBytes is a payment's encoding, RetainedBytes all memory that keeping it takes.
	RecordBytes, RetainedBytes float64
	// StartSeconds is from the start of a process to the first event, with StartPayments on Kafka;
	// StartCPUSeconds is what it has used by then.
	StartSeconds, StartCPUSeconds, StartPayments float64
	// HalfSeconds and NearlyAllSeconds are when half, and 99 of 100, of 1,000 subscribers have a payment that
	// comes alone, after the first of them.
	HalfSeconds, NearlyAllSeconds float64
}

// Pace is a way in which payments come, and what they cost then.
type Pace struct {
	Name string
	// Batch is how many come together, and stand in one write to a subscriber.
	Batch float64
	// DeliveryCPUSeconds is for each payment and subscriber, IngestCPUSeconds for each payment and gateway.
	DeliveryCPUSeconds, IngestCPUSeconds float64
}

// Protocol is what a delivery costs to a subscriber that catches up, and its message's size.
type Protocol struct {
	Name               string
	DeliveryCPUSeconds float64
	MessageBytes       float64
}

// Growth is what a delivery costs with so many subscribers that catch up.
type Growth struct {
	Subscribers        float64
	DeliveryCPUSeconds float64
}

// Layout is what a subscriber that waits takes, by how it is connected.
type Layout struct {
	Name                string
	HeapBytes, RSSBytes float64
}

// What the bench's workloads do, which their figures do not say.
const (
	singleSubscribers = 1000 // of latency
	singlePerSecond   = 20
	fivesSubscribers  = 200 // of paced
	fivesPerSecond    = 500
	startPayments     = 100_000
	quickPayments     = 10_000
	mostSubscribers   = 5000 // of growth and idle
	runDeliveries     = 240  // about 64 KiB, which is written together
)

const gRPC = "paystream, gRPC"

// CostsOf reads the figures of a bench. A figure that is not there is an error: all workloads are needed.
func CostsOf(r *report.Results) (Costs, error) {
	f := figures{results: r}
	c := Costs{
		Single: f.live("latency", singleSubscribers, singlePerSecond),
		Fives:  f.live("paced", fivesSubscribers, fivesPerSecond),
		CatchUp: Pace{
			Name: "catching up", Batch: runDeliveries,
			DeliveryCPUSeconds: f.of("saturated", gRPC, report.CPUPer),
			IngestCPUSeconds:   f.of("ingest", "paystream's consumer and log, 3 partitions", report.CPUPerRecord),
		},
		IngestManyPartitionsCPUSeconds: f.of("ingest", "paystream's consumer and log, 50 partitions", report.CPUPerRecord),
		ExaminedCPUSeconds:             f.of("filtered", "a provider each, 100 subscribers", report.CPUPerExamined),
		RecordBytes:                    f.of("retained", "paystream", report.RecordSize),
		RetainedBytes:                  f.of("retained", "paystream", report.MemoryPer),
		StartSeconds:                   f.of("start", "paystream", report.FirstEvent),
		StartCPUSeconds:                f.of("start", "paystream", report.ServerCPU),
		StartPayments:                  startPayments,
		HalfSeconds:                    f.of("latency", gRPC, report.SpreadP50),
		NearlyAllSeconds:               f.of("latency", gRPC, report.SpreadP99),
	}
	if r.Quick {
		c.StartPayments = quickPayments
	}
	c.Single.Name, c.Single.Batch = "one at a time", 1
	c.Fives.Name, c.Fives.Batch = "five at a time", 5
	for _, name := range []string{"gRPC", "gRPC on TLS", "gRPC-Web", "Connect JSON", "SSE", "NDJSON"} {
		subject := "paystream, " + name
		c.Protocols = append(c.Protocols, Protocol{
			name, f.of("saturated", subject, report.CPUPer), f.of("saturated", subject, report.BytesPer),
		})
	}
	for _, n := range []int{10, 100, 1000, 5000} {
		subject := fmt.Sprintf("paystream, %d subscribers", n)
		c.Growth = append(c.Growth, Growth{float64(n), f.of("growth", subject, report.CPUPer)})
	}
	for _, name := range []string{"HTTP/2, a connection each", "HTTP/2, 100 a connection", "HTTP/1.1"} {
		subject := "paystream: " + name
		c.Layouts = append(c.Layouts, Layout{
			name, f.of("idle", subject, report.MemoryPer), f.of("idle", subject, report.RSSPer),
		})
	}
	return c, f.err
}

// figures reads results; err is the first one that is missing.
type figures struct {
	results *report.Results
	err     error
}

// of returns a figure, rounded.
func (f *figures) of(workload, subject string, m report.Metric) float64 {
	return round(f.exact(workload, subject, m))
}

func (f *figures) exact(workload, subject string, m report.Metric) float64 {
	median := f.results.Spread(workload, subject, m).Median
	if (math.IsNaN(median) || median <= 0) && f.err == nil {
		f.err = fmt.Errorf("the results have no %s of %q in %s: run all workloads", m, subject, workload)
	}
	return median
}

// live returns what payments cost that come while subscribers wait: the cores of the two halves of the work,
// over the deliveries and the payments of a second.
func (f *figures) live(workload string, subscribers, perSecond float64) Pace {
	return Pace{
		DeliveryCPUSeconds: round(f.exact(workload, gRPC, report.FanOutCores) / (perSecond * subscribers)),
		IngestCPUSeconds:   round(f.exact(workload, gRPC, report.IngestCores) / perSecond),
	}
}

// round leaves two digits that count.
func round(v float64) float64 {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return v
	}
	unit := math.Pow(10, math.Floor(math.Log10(math.Abs(v)))-1)
	return math.Round(v/unit) * unit
}
