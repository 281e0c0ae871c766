// Package report turns the figures of runs into tables: medians with their spread, and ratios.
//
// It is pure: the same results give the same text.
package report

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Metric is one figure of a run, by the name that it has in JSON, which ends in its unit.
type Metric string

// The metrics. Server is the process that is measured, or the part of it; a record is a payment on
// Kafka, a delivery a payment at a subscriber.
const (
	Deliveries  Metric = "deliveries"
	PerCPU      Metric = "deliveries_per_cpu_second"
	CPUPer      Metric = "cpu_per_delivery_seconds"
	BytesPer    Metric = "delivery_bytes"
	ServerCPU   Metric = "server_cpu_seconds"
	ServerCores Metric = "server_cores"
	LoadCPU     Metric = "load_cpu_seconds"
	Wall        Metric = "wall_seconds"
	PeakRSS     Metric = "peak_rss_bytes"
	// Elsewhere is the share of the machine that was used by others than the bench.
	Elsewhere Metric = "elsewhere_share"

	// PerSecond is of wall time. Readers is how many readers of what is no longer retained were begun, FromKafka how
	// many payments they have read.
	PerSecond Metric = "deliveries_per_second"
	Readers   Metric = "backfill_readers"
	FromKafka Metric = "backfill_payments"

	// FanOutCores is ServerCores without IngestCores, what the server uses without subscribers.
	FanOutCores    Metric = "fanout_cores"
	IngestCores    Metric = "ingest_cores"
	CPUPerExamined Metric = "cpu_per_examined_seconds"

	Samples Metric = "latency_samples"
	// P50 and P99 count from when a payment was published, the Spreads from the first delivery.
	P50       Metric = "latency_p50_seconds"
	P99       Metric = "latency_p99_seconds"
	SpreadP50 Metric = "fanout_p50_seconds"
	SpreadP99 Metric = "fanout_p99_seconds"

	// BareP50 and BareP99 are of a bare consumer of the same records; Added is what paystream's are above.
	BareP50  Metric = "bare_p50_seconds"
	BareP99  Metric = "bare_p99_seconds"
	AddedP50 Metric = "added_p50_seconds"
	AddedP99 Metric = "added_p99_seconds"

	// AppendP50 and the others are of CPU time.
	AppendP50  Metric = "append_p50_seconds"
	AppendP99  Metric = "append_p99_seconds"
	AppendP999 Metric = "append_p999_seconds"
	AppendWait Metric = "append_wait_seconds"

	Records       Metric = "records"
	RecordsPerCPU Metric = "records_per_cpu_second"
	CPUPerRecord  Metric = "cpu_per_record_seconds"
	RecordSize    Metric = "record_bytes"

	// MemoryPer, RSSPer and OverheadPer are of one subscriber, or one retained payment.
	MemoryPer   Metric = "memory_per_bytes"
	RSSPer      Metric = "rss_per_bytes"
	OverheadPer Metric = "overhead_per_bytes"

	FirstEvent Metric = "first_event_seconds"
)

// Metrics are the figures of one run.
type Metrics map[Metric]float64

// format writes a value with the unit that the metric's name ends in.
func (m Metric) format(v float64) string {
	name := string(m)
	switch {
	case math.IsNaN(v):
		return "–"
	case strings.HasSuffix(name, "_per_cpu_second"):
		return count(v)
	case strings.HasSuffix(name, "_seconds"):
		return seconds(v)
	case strings.HasSuffix(name, "_bytes"):
		return size(v)
	case strings.HasSuffix(name, "_share"):
		return fmt.Sprintf("%.0f %%", v*100)
	case strings.HasSuffix(name, "_cores"):
		return fmt.Sprintf("%.2f", v)
	}
	return count(v)
}

// count writes a number with three digits that count.
func count(v float64) string {
	switch {
	case v >= 999_500:
		return digits(v/1e6) + " M"
	case v >= 9_995:
		return digits(v/1e3) + " k"
	}
	return digits(v)
}

func digits(v float64) string {
	switch {
	case v >= 99.95:
		return fmt.Sprintf("%.0f", v)
	case v >= 9.995:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func seconds(v float64) string {
	d := time.Duration(v * float64(time.Second))
	switch {
	case v < 0:
		return "-" + seconds(-v)
	case d >= time.Second:
		return digits(v) + " s"
	case d >= time.Millisecond:
		return digits(v*1e3) + " ms"
	}
	return digits(v*1e6) + " µs"
}

func size(v float64) string {
	switch {
	case v < 0:
		return "-" + size(-v)
	case v >= 9.995*(1<<30):
		return digits(v/(1<<30)) + " GiB"
	case v >= 999.5*(1<<10):
		return digits(v/(1<<20)) + " MiB"
	case v >= 9_995:
		return digits(v/(1<<10)) + " KiB"
	}
	return digits(v) + " B"
}
