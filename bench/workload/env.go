// Package workload is what the bench measures: each workload runs paystream and what it is compared
// with, each in a process of its own, against the same subscribers.
//
// A run either gives figures, after every subscriber was found to have got what it should have, or
// an error. CPU is that of the server's process alone, between two moments at which nothing else
// of a run's preparation is going on.
package workload

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"paystream/bench/process"
	"paystream/bench/sample"
)

// Env is what all runs share.
type Env struct {
	// Dir is for files; it is the caller's to remove.
	Dir string
	// Paystream is the binary that is measured.
	Paystream string
	// Kafka is the address of one that is used in place of the embedded broker; empty is none.
	Kafka string
	// StartKafka starts a real Kafka, and returns its address and how to stop it, for the runs that say
	// nothing without one. Where it is nil they have the same as the others.
	StartKafka func() (address string, stop func(), err error)
	// Profiles is a folder for CPU profiles of the servers, one a run; empty is none.
	Profiles string
	// Quick makes runs small enough to see that they work; their figures say little.
	Quick bool

	payments   sample.Payments
	sampleFile string
	certs      certificates
	broker     *process.Child
	brokers    string                  // its address
	topics     map[[2]int]sample.Topic // by payments and partitions
	created    int
	began      time.Time
	profiled   int

	real     *Env // that of a real Kafka
	stopReal func()
}

// samples is how many payments there are: as many as any run needs.
func (e *Env) samples() int { return e.size(150_000, 30_000) }

// full is how many payments a full log holds.
func (e *Env) full() int { return e.size(100_000, 10_000) }

// callTimeout is how long one step of a run may take.
const callTimeout = 2 * time.Minute

// Open prepares what all runs share. The caller closes it.
func (e *Env) Open(ctx context.Context) error {
	e.sampleFile = filepath.Join(e.Dir, "payments")
	e.payments = sample.Generate(e.samples())
	if err := e.payments.Write(e.sampleFile); err != nil {
		return err
	}
	var err error
	if e.certs, err = newCertificates(e.Dir); err != nil {
		return err
	}
	args := []string{"broker", e.sampleFile}
	if e.Kafka != "" {
		args = []string{"broker", e.Kafka, e.sampleFile}
	}
	e.began = time.Now()
	if e.broker, err = process.Self(ctx, args...); err != nil {
		return err
	}
	e.topics = map[[2]int]sample.Topic{}
	return call(ctx, e.broker, "address", process.None{}, &e.brokers)
}

// onKafka returns what runs share that need a real Kafka.
func (e *Env) onKafka(ctx context.Context) (*Env, error) {
	if e.real != nil {
		return e.real, nil
	}
	if e.Kafka != "" || e.StartKafka == nil {
		return e, nil
	}
	address, stop, err := e.StartKafka()
	if err != nil {
		return nil, err
	}
	r := &Env{Dir: e.Dir, Paystream: e.Paystream, Kafka: address, Profiles: e.Profiles, Quick: e.Quick}
	if err := r.Open(ctx); err != nil {
		stop()
		return nil, err
	}
	e.real, e.stopReal = r, stop
	return r, nil
}

// Close ends what Open has started. It does so also when ctx has ended.
func (e *Env) Close(ctx context.Context) {
	if e.real != nil {
		e.real.Close(ctx)
		e.stopReal()
	}
	if e.broker == nil {
		return
	}
	for _, topic := range e.topics {
		e.remove(ctx, topic)
	}
	e.broker.Stop()
}

// size is a number of something that a quick run has fewer of.
func (e *Env) size(full, quick int) int {
	if e.Quick {
		return quick
	}
	return full
}

func call(ctx context.Context, c *process.Child, name string, args, result any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return c.Call(ctx, name, args, result)
}

// filled returns a topic of 3 partitions that holds the first n payments, the same one each time.
func (e *Env) filled(ctx context.Context, n int) (sample.Topic, error) {
	if topic, ok := e.topics[[2]int{n, 3}]; ok {
		return topic, nil
	}
	topic := sample.NewTopic(e.newName(), 3, time.Millisecond, n, time.Now().Add(-time.Second))
	if err := e.fill(ctx, topic, n); err != nil {
		return topic, err
	}
	e.topics[[2]int{n, 3}] = topic
	return topic, nil
}

// fresh returns a topic that nobody else uses and that holds n payments; those that follow come
// every step. It is to be removed.
func (e *Env) fresh(ctx context.Context, n int, step time.Duration) (sample.Topic, error) {
	topic := sample.NewTopic(e.newName(), 3, step, n, time.Now())
	return topic, e.fill(ctx, topic, n)
}

// newName returns a topic's name, where we may about as long as payments.raw: events carry it.
func (e *Env) newName() string {
	e.created++
	if e.Kafka != "" {
		return fmt.Sprintf("paystream-bench-%x-%d", e.began.Unix(), e.created)
	}
	return fmt.Sprintf("payments.%d", e.created)
}

func (e *Env) fill(ctx context.Context, topic sample.Topic, n int) error {
	if err := call(ctx, e.broker, "create", topic, nil); err != nil {
		return err
	}
	if n == 0 {
		return nil
	}
	return call(ctx, e.broker, "fill", sample.Feed{Topic: topic, To: n}, nil)
}

// remove forgets a topic that was made by fresh.
func (e *Env) remove(ctx context.Context, topic sample.Topic) {
	_ = call(context.WithoutCancel(ctx), e.broker, "remove", topic, nil) // the broker ends with the bench
}
