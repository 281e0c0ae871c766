package workload

import (
	"context"
	"time"

	"paystream/bench/baseline"
	"paystream/bench/load"
	"paystream/bench/process"
	"paystream/bench/report"
	"paystream/bench/sample"
)

// pace is how many get how much.
type pace struct {
	subscribers int
	batch       int // payments at a time
	every       time.Duration
	seconds     int
}

// lively is 200 subscribers and 500 payments a second, five at a time, as a producer's short linger
// gives them.
var lively = pace{subscribers: 200, batch: 5, every: 10 * time.Millisecond, seconds: 5}

func (p pace) rate() int { return p.batch * int(time.Second/p.every) }

// step is the time from one payment to the next.
func (p pace) step() time.Duration { return p.every / time.Duration(p.batch) }

// payments is how many come in a run.
func (p pace) payments(e *Env) int { return e.size(p.seconds, 2) * p.rate() }

// feed is payments of a topic at this pace.
func (p pace) feed(topic sample.Topic, from, to int) sample.Feed {
	return sample.Feed{Topic: topic, From: from, To: to, Batch: p.batch, Every: p.every}
}

// paced: 200 subscribers, 500 payments a second, live.
func paced() Workload {
	from := func(name, kind string, protocol load.Protocol) Subject {
		return Subject{Name: name, Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
			return e.pacedBaseline(ctx, kind, load.Job{Protocol: protocol}, lively)
		}}
	}
	return Workload{
		Table: report.Table{
			Name:  "paced",
			Title: "Paced: 200 subscribers, 500 payments a second, live",
			Notes: []string{
				"Cores are the CPU used in a second. What paystream is compared with is fed from its own memory, by a timer, with " +
					"the same five payments each 10 ms; paystream reads them from the broker, in whatever batches its fetches " +
					"bring. So two figures stand for it: all that the process uses, and that less what it uses at the same pace " +
					"with no subscribers, measured in the same process just before. Latency is from the handing over to the " +
					"broker, or in memory to the subscribers, until a subscriber has it: paystream's has the way through the " +
					"broker in it. Fan-out is from the first subscriber that has a payment to each of the others.",
			},
			Columns: []report.Column{
				{Metric: report.FanOutCores, Title: "fan-out", Ratio: true},
				{Metric: report.ServerCores, Title: "total", Ratio: true},
				{Metric: report.P50, Title: "latency p50"},
				{Metric: report.P99, Title: "p99"},
				{Metric: report.SpreadP99, Title: "fan-out p99"},
			},
			Reference: bareTCP,
		},
		Subjects: []Subject{
			{Name: paystreamGRPC, Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
				return e.pacedGateway(ctx, load.Job{Protocol: load.GRPC}, lively)
			}},
			from(bareTCP, baseline.TCP, load.TCP),
			from(grpcGo, baseline.GRPC, load.GRPC),
			from(naiveConnect, baseline.Connect, load.GRPC),
		},
	}
}

// pacedGateway first has payments come without subscribers, then as many with.
func (e *Env) pacedGateway(ctx context.Context, job load.Job, p pace) (report.Metrics, error) {
	topic, err := e.fresh(ctx, 0, p.step())
	if err != nil {
		return nil, err
	}
	defer e.remove(ctx, topic)
	s, err := e.gateway(ctx, topic, e.full())
	if err != nil {
		return nil, err
	}
	defer s.stop()
	alone := p.payments(e) / 2
	ingest, err := e.cores(s, func() error {
		_, err := e.feed(ctx, p.feed(topic, 0, alone))
		return err
	})
	if err != nil {
		return nil, err
	}
	feed := p.feed(topic, alone, alone+p.payments(e))
	job.Topic, job.Sum, job.Latency = topic, load.SumAll, true
	job.Groups = []load.Group{{Subscribers: p.subscribers, NewOnly: true, From: feed.From, To: feed.To}}
	m, err := e.run(ctx, fanOut{server: s, job: job, live: true, publish: func(ctx context.Context) ([]int64, error) {
		return e.feed(ctx, feed)
	}})
	if err == nil {
		m[report.IngestCores] = ingest
		m[report.FanOutCores] = m[report.ServerCores] - ingest
	}
	return m, err
}

// cores returns what a server uses while something is done, per second.
func (e *Env) cores(s *server, do func() error) (float64, error) {
	begin, err := process.CPU(s.Pid())
	if err != nil {
		return 0, err
	}
	at := time.Now()
	if err := do(); err != nil {
		return 0, err
	}
	end, err := process.CPU(s.Pid())
	return (end - begin).Seconds() / time.Since(at).Seconds(), err
}

// pacedBaseline feeds a baseline once all have subscribed.
func (e *Env) pacedBaseline(ctx context.Context, kind string, job load.Job, p pace) (report.Metrics, error) {
	s, err := e.baseline(ctx, kind)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	feed := p.feed(sample.NewTopic("payments.memory", 3, p.step(), 0, time.Now()), 0, p.payments(e))
	if err := s.prepare(ctx, feed, sample.New); err != nil {
		return nil, err
	}
	job.Topic, job.Sum, job.Latency = feed.Topic, load.SumFields, true
	if job.Protocol == load.TCP {
		job.Sum = load.SumAll
	}
	job.Groups = []load.Group{{Subscribers: p.subscribers, NewOnly: true, From: feed.From, To: feed.To}}
	m, err := e.run(ctx, fanOut{server: s, job: job, live: true, publish: func(ctx context.Context) ([]int64, error) {
		return s.feed(ctx, feed)
	}})
	if err == nil {
		m[report.FanOutCores] = m[report.ServerCores]
	}
	return m, err
}
