package workload

import (
	"context"
	"fmt"
	"time"

	"paystream/bench/inprocess"
	"paystream/bench/load"
	"paystream/bench/process"
	"paystream/bench/report"
	"paystream/bench/sample"
)

// few is 10 subscribers and 500 payments a second, one at a time.
var few = pace{subscribers: 10, batch: 1, every: 2 * time.Millisecond, seconds: 4}

// kafka: from the producer to the subscriber, against a consumer of the same records.
func kafkaLatency() Workload {
	return Workload{
		Table: report.Table{
			Name:  "kafka",
			Title: "Kafka: from the producer to 10 subscribers, and at the same time to a bare kafka-go consumer",
			Notes: []string{
				"The bare consumer is kafka.Reader in a process of its own, which takes the time of each record and does nothing " +
					"else. Both read from a real Kafka, which is started for these runs alone; with `-embedded` or `-quick` from the " +
					"embedded broker, which says little about Kafka.",
			},
			Columns: []report.Column{
				{Metric: report.P50, Title: "p50"},
				{Metric: report.P99, Title: "p99"},
				{Metric: report.BareP50, Title: "bare consumer's p50"},
				{Metric: report.BareP99, Title: "p99"},
				{Metric: report.AddedP50, Title: "added at p50"},
				{Metric: report.AddedP99, Title: "at p99"},
				{Metric: report.Samples, Title: "samples"},
			},
		},
		Subjects: []Subject{{Name: paystreamGRPC, Run: kafkaRun}},
	}
}

func kafkaRun(ctx context.Context, e *Env) (report.Metrics, error) {
	e, err := e.onKafka(ctx)
	if err != nil {
		return nil, err
	}
	topic, err := e.fresh(ctx, 0, few.step())
	if err != nil {
		return nil, err
	}
	defer e.remove(ctx, topic)
	s, err := e.gateway(ctx, topic, e.full())
	if err != nil {
		return nil, err
	}
	defer s.stop()
	consumer, err := process.Self(ctx, "inprocess", e.sampleFile)
	if err != nil {
		return nil, err
	}
	defer consumer.Stop()
	// What comes first opens connections, on both sides, and warms a broker up that was just started.
	warm := 3 * few.rate()
	feed := few.feed(topic, warm, warm+few.payments(e))
	var bare load.Quantiles
	m, err := e.run(ctx, fanOut{
		server: s, live: true,
		job: load.Job{
			Protocol: load.GRPC, Topic: topic, Sum: load.SumAll, Latency: true,
			Groups: []load.Group{{Subscribers: few.subscribers, NewOnly: true, To: feed.To}},
		},
		publish: func(ctx context.Context) (sent []int64, err error) {
			sent, bare, err = e.feedTo(ctx, consumer, feed, warm)
			return sent, err
		},
	})
	if err != nil {
		return nil, err
	}
	m[report.BareP50], m[report.BareP99] = bare.P50.Seconds(), bare.P99.Seconds()
	m[report.AddedP50] = m[report.P50] - m[report.BareP50]
	m[report.AddedP99] = m[report.P99] - m[report.BareP99]
	return m, nil
}

// feedTo feeds what a consumer listens to meanwhile, and returns when each payment was handed over,
// 0 for those that do not count, and the consumer's latencies.
func (e *Env) feedTo(ctx context.Context, consumer *process.Child, feed sample.Feed, warm int) ([]int64, load.Quantiles, error) {
	type listened struct {
		came []int64
		err  error
	}
	done := make(chan listened, 1)
	go func() {
		var l listened
		l.err = call(ctx, consumer, "listen", inprocess.Work{Brokers: e.brokers, Topic: feed.Topic, Records: feed.To}, &l.came)
		done <- l
	}()
	first := feed
	first.From, first.To = 0, warm
	if _, err := e.feed(ctx, first); err != nil {
		return nil, load.Quantiles{}, err
	}
	counted, err := e.feed(ctx, feed)
	if err != nil {
		return nil, load.Quantiles{}, err
	}
	l := <-done
	if l.err != nil {
		return nil, load.Quantiles{}, l.err
	}
	sent := append(make([]int64, warm), counted...)
	var latencies []time.Duration
	for i := warm; i < feed.To; i++ {
		if l.came[i] == 0 {
			return nil, load.Quantiles{}, fmt.Errorf("the bare consumer has not got payment %d", i)
		}
		latencies = append(latencies, time.Duration(l.came[i]-sent[i]))
	}
	return sent, load.QuantilesOf(latencies), nil
}
