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

// The pace of live payments: 500 a second, five at a time, as a producer's short linger gives them.
const (
	pacedBatch = 5
	pacedEvery = 10 * time.Millisecond
	pacedRate  = pacedBatch * int(time.Second/pacedEvery) // a second
	pacedStep  = pacedEvery / pacedBatch
)

// pacedSubscribers is how many there are.
const pacedSubscribers = 200

// paced: 200 subscribers, 500 payments a second, live.
func paced() Workload {
	from := func(name, kind string, protocol load.Protocol) Subject {
		return Subject{name, func(ctx context.Context, e *Env) (report.Metrics, error) {
			return e.pacedBaseline(ctx, kind, load.Job{Protocol: protocol}, pacedSubscribers, e.pacedPayments())
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
			{paystreamGRPC, func(ctx context.Context, e *Env) (report.Metrics, error) {
				return e.pacedGateway(ctx, load.Job{Protocol: load.GRPC}, pacedSubscribers)
			}},
			from(bareTCP, baseline.TCP, load.TCP),
			from(grpcGo, baseline.GRPC, load.GRPC),
			from(naiveConnect, baseline.Connect, load.GRPC),
		},
	}
}

// pacedPayments is how many come in a run.
func (e *Env) pacedPayments() int { return e.size(7, 2) * pacedRate }

// pacedGateway first has payments come without subscribers, then as many with.
func (e *Env) pacedGateway(ctx context.Context, job load.Job, subscribers int) (report.Metrics, error) {
	topic, err := e.fresh(ctx, 0, 3, pacedStep)
	if err != nil {
		return nil, err
	}
	defer e.remove(ctx, topic)
	s, err := e.gateway(ctx, topic, filledPayments)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	alone := e.pacedPayments() / 2
	feed := sample.Feed{Topic: topic, To: alone, Batch: pacedBatch, Every: pacedEvery}
	ingest, err := e.cores(s, func() error {
		_, err := e.feed(ctx, feed)
		return err
	})
	if err != nil {
		return nil, err
	}
	feed.From, feed.To = alone, alone+e.pacedPayments()
	job.Topic, job.Sum, job.Latency = topic, load.SumAll, true
	job.Groups = []load.Group{{Subscribers: subscribers, NewOnly: true, From: feed.From, To: feed.To}}
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

func (e *Env) pacedBaseline(ctx context.Context, kind string, job load.Job, subscribers, payments int) (report.Metrics, error) {
	s, err := e.baseline(ctx, kind)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	topic := sample.NewTopic("payments.memory", 3, pacedStep, 0, time.Now())
	feed := sample.Feed{Topic: topic, To: payments, Batch: pacedBatch, Every: pacedEvery}
	return e.liveBaseline(ctx, s, job, feed, subscribers)
}

// liveBaseline feeds a baseline once all have subscribed.
func (e *Env) liveBaseline(ctx context.Context, s *server, job load.Job, feed sample.Feed, subscribers int) (report.Metrics, error) {
	if err := s.prepare(ctx, feed, sample.New); err != nil {
		return nil, err
	}
	job.Topic, job.Sum, job.Latency = feed.Topic, load.SumFields, true
	if job.Protocol == load.TCP {
		job.Sum = load.SumAll
	}
	job.Groups = []load.Group{{Subscribers: subscribers, NewOnly: true, From: feed.From, To: feed.To}}
	m, err := e.run(ctx, fanOut{server: s, job: job, live: true, publish: func(ctx context.Context) ([]int64, error) {
		return s.feed(ctx, feed)
	}})
	if err == nil {
		m[report.FanOutCores] = m[report.ServerCores]
	}
	return m, err
}
