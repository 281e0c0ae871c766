package workload

import (
	"context"

	"paystream/bench/baseline"
	"paystream/bench/load"
	"paystream/bench/report"
	"paystream/bench/sample"
)

// saturated: 100 subscribers take the same payments from a filled log, as fast as they can.
func saturated() Workload {
	over := func(name string, job load.Job, payments int) Subject {
		return Subject{Name: name, Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
			return e.saturatedGateway(ctx, job, e.size(payments, e.full()))
		}}
	}
	from := func(name, kind string, job load.Job, payments, quick int) Subject {
		return Subject{Name: name, Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
			return e.saturatedBaseline(ctx, kind, job, e.size(payments, quick))
		}}
	}
	return Workload{
		Table: report.Table{
			Name:  "saturated",
			Title: "Saturated: 100 subscribers take the same payments from a filled log as fast as they can",
			Columns: []report.Column{
				{Metric: report.PerCPU, Title: "deliveries per CPU second", Ratio: true},
				{Metric: report.CPUPer, Title: "CPU per delivery"},
				{Metric: report.BytesPer, Title: "bytes"},
				{Metric: report.Wall, Title: "wall"},
				{Metric: report.LoadCPU, Title: "load's CPU"},
			},
			Notes: []string{
				"grpc-go and naive connect-go are the same server: a channel for each subscriber, from which its handler takes " +
					"events and calls the library's Send, which marshals and flushes each. gRPC, gRPC-Web and bare TCP deliver 100,000 " +
					"payments to each; JSON and TLS, of the same log, the newest 50,000, grpc-go 6,000 and connect-go 2,000, not to " +
					"last for minutes. Bare TCP writes the same bytes to plain sockets, from one buffer that all share, 256 KiB at a " +
					"time: what the system asks for carrying them. The load's CPU is that of the subscribers' process.",
			},
			Reference: grpcGo,
		},
		Subjects: []Subject{
			over(paystreamGRPC, load.Job{Protocol: load.GRPC}, 100_000),
			from(grpcGo, baseline.GRPC, load.Job{Protocol: load.GRPC}, 6_000, 2_000),
			from(naiveConnect, baseline.Connect, load.Job{Protocol: load.GRPC}, 2_000, 500),
			from(bareTCP, baseline.TCP, load.Job{Protocol: load.TCP}, 100_000, 10_000),
			over(paystreamWeb, load.Job{Protocol: load.GRPCWeb}, 100_000),
			over("paystream, gRPC-Web on HTTP/1.1", load.Job{Protocol: load.GRPCWeb, HTTP1: true}, 50_000),
			over(paystreamJSON, load.Job{Protocol: load.ConnectJSON}, 50_000),
			over(paystreamSSE, load.Job{Protocol: load.SSE, HTTP1: true}, 50_000),
			over(paystreamNDJSON, load.Job{Protocol: load.NDJSON, HTTP1: true}, 50_000),
			over(paystreamTLS, load.Job{Protocol: load.GRPC, CAFile: "tls"}, 50_000),
		},
	}
}

// Names of subjects that claims and ratios go by.
const (
	paystreamGRPC   = "paystream, gRPC"
	paystreamWeb    = "paystream, gRPC-Web"
	paystreamJSON   = "paystream, Connect JSON"
	paystreamSSE    = "paystream, SSE"
	paystreamNDJSON = "paystream, NDJSON"
	paystreamTLS    = "paystream, gRPC on TLS"
	grpcGo          = "grpc-go"
	naiveConnect    = "naive connect-go"
	bareTCP         = "bare TCP"
)

// saturatedSubscribers is how many there are.
const saturatedSubscribers = 100

func (e *Env) saturatedGateway(ctx context.Context, job load.Job, payments int) (report.Metrics, error) {
	topic, err := e.filled(ctx, e.full())
	if err != nil {
		return nil, err
	}
	var flags []string
	if job.CAFile != "" {
		job.CAFile = e.certs.cert
		flags = []string{"--grpc-tls-cert-file=" + e.certs.cert, "--grpc-tls-key-file=" + e.certs.key}
	}
	s, err := e.gateway(ctx, topic, e.full(), flags...)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	job.Topic, job.Sum = topic, load.SumAll
	job.Groups = []load.Group{e.newest(saturatedSubscribers, payments)}
	return e.run(ctx, fanOut{server: s, job: job})
}

func (e *Env) saturatedBaseline(ctx context.Context, kind string, job load.Job, n int) (report.Metrics, error) {
	topic, err := e.filled(ctx, e.full())
	if err != nil {
		return nil, err
	}
	s, err := e.baseline(ctx, kind)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	feed := sample.Feed{Topic: topic, From: e.full() - n, To: e.full(), Batch: 100}
	if err := s.prepare(ctx, feed, sample.Existing); err != nil {
		return nil, err
	}
	job.Topic, job.Sum = topic, load.SumFields
	if kind == baseline.TCP {
		job.Sum = load.SumAll
	}
	job.Groups = []load.Group{{
		Subscribers: saturatedSubscribers, From: feed.From, To: feed.To, Existing: feed.To,
	}}
	return e.run(ctx, fanOut{server: s, job: job, publish: func(ctx context.Context) ([]int64, error) {
		return s.feed(ctx, feed)
	}})
}
