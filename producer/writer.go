package producer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/internal/kafkaconn"
)

const (
	// batchTimeout is how long a record waits for others to share a request with.
	batchTimeout = 5 * time.Millisecond
	batchSize    = 1000

	// attempts and the pauses between them (doubled from 100 ms up to maxBackoff) last about ten
	// seconds where connections are refused: time enough for another broker to take over.
	attempts       = 10
	maxBackoff     = 2 * time.Second
	requestTimeout = 5 * time.Second

	checkTimeout = 6 * time.Second // a little more than one connection may take to open
	topicTimeout = 2 * time.Second // for a topic just made to be known to all brokers
	checkPause   = 250 * time.Millisecond
)

// Record is what is written: its key, a payment's id, decides the partition. Without a Time it has
// that of the writing.
type Record struct {
	Key   string
	Value []byte
	Time  time.Time
}

// Result is what became of a record: where it is, or why it was not acknowledged.
type Result struct {
	Partition int
	Offset    int64
	Err       error
}

// Writer writes records to one topic. It is safe for concurrent use.
type Writer struct {
	cfg       kafkaconn.Config
	topic     string
	transport *kafkaconn.Transport
	kafka     *kafka.Writer
	abort     context.CancelFunc
}

// NewWriter returns a Writer. It does not connect yet; errors are about the settings. The caller
// closes it.
func NewWriter(cfg kafkaconn.Config, topic string) (*Writer, error) {
	transport, err := cfg.Transport(topic)
	if err != nil {
		return nil, err
	}
	alive, abort := context.WithCancel(context.Background())
	return &Writer{
		cfg:       cfg,
		topic:     topic,
		transport: transport,
		abort:     abort,
		kafka: &kafka.Writer{
			Addr:            transport.Addr(),
			Topic:           topic,
			Balancer:        kafka.Murmur2Balancer{},
			RequiredAcks:    kafka.RequireAll,
			MaxAttempts:     attempts,
			WriteBackoffMax: maxBackoff,
			BatchSize:       batchSize,
			BatchTimeout:    batchTimeout,
			ReadTimeout:     requestTimeout,
			WriteTimeout:    requestTimeout,
			Transport:       abortable{transport, alive},
			Completion:      settle,
		},
	}, nil
}

// Check reports, in words for people, why records could not be written now: Kafka can't be
// reached, refuses, or has no such topic (the errors wrap kafkaconn's). It tries for some seconds
// where that may help.
func (w *Writer) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	start := time.Now()
	for {
		err := w.cfg.Explain(w.findTopic(ctx))
		switch {
		case err == nil:
			return nil
		case errors.Is(err, kafkaconn.ErrRefused),
			errors.Is(err, kafkaconn.ErrNoTopic) && time.Since(start) > topicTimeout,
			time.Since(start) > checkTimeout-2*checkPause:
			return err
		}
		select {
		case <-time.After(checkPause):
		case <-ctx.Done():
			return err
		}
	}
}

// findTopic asks any broker for the topic. It does not make Kafka create it.
func (w *Writer) findTopic(ctx context.Context) error {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 5 // every Kafka of the last years
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = new(w.topic)
	req.Topics = append(req.Topics, topic)
	res, _, err := w.transport.Request(ctx, kafkaconn.AnyBroker, req, nil)
	if err != nil {
		return err
	}
	for _, t := range res.(*kmsg.MetadataResponse).Topics { //nolint:errcheck,forcetypeassert // a request has its response
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return &kafkaconn.TopicError{Topic: w.topic, Err: err}
		}
	}
	return nil
}

// Write writes the records and returns a result for each. The errors are in words for people and
// wrap kafkaconn's where they are one of those. When ctx is done first, the records without an
// answer have its error, and may be written or not.
func (w *Writer) Write(ctx context.Context, records ...Record) []Result {
	c := &call{results: make([]Result, len(records)), settled: make([]bool, len(records))}
	messages := make([]kafka.Message, len(records))
	for i, r := range records {
		messages[i] = kafka.Message{Key: []byte(r.Key), Value: r.Value, Time: r.Time, WriterData: slot{c, i}}
	}
	return c.finish(w.kafka.WriteMessages(ctx, messages...), w.explain)
}

func (w *Writer) explain(err error) error {
	var k kafka.Error
	var many kafka.WriteErrors
	switch {
	case errors.As(err, &many): // each record has its own already
		return errors.New("not acknowledged")
	case errors.As(err, &k):
		err = &kafkaconn.TopicError{Topic: w.topic, Err: err}
	}
	return w.cfg.Explain(err)
}

// Close gives up what a Write whose context was done has left behind, and closes all connections.
// It takes no longer than maxBackoff.
func (w *Writer) Close() error {
	w.abort()
	err := w.kafka.Close()
	w.transport.Close()
	if err != nil {
		return fmt.Errorf("close the Kafka writer: %w", err)
	}
	return nil
}

// call collects the results of one Write. kafka-go reports them batch by batch, from goroutines of
// its own, and still does so after a Write whose context was done has returned.
type call struct {
	mu       sync.Mutex
	returned bool
	results  []Result
	settled  []bool
}

// slot says which record of which call a message is.
type slot struct {
	call *call
	i    int
}

// settle is kafka-go's Completion: err is that of all the messages.
func settle(messages []kafka.Message, err error) {
	for _, m := range messages {
		s := m.WriterData.(slot) //nolint:errcheck,forcetypeassert // Write has put it there
		s.call.set(s.i, Result{Partition: m.Partition, Offset: m.Offset, Err: err})
	}
}

func (c *call) set(i int, r Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.returned {
		c.results[i], c.settled[i] = r, true
	}
}

// finish returns the results; err, of the Write as a whole, is that of those without their own.
func (c *call) finish(err error, explain func(error) error) []Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.returned = true
	for i := range c.results {
		switch r := &c.results[i]; {
		case !c.settled[i] && err == nil:
			r.Err = errors.New("no answer")
		case !c.settled[i]:
			r.Err = explain(err)
		case r.Err != nil:
			r.Err = explain(r.Err)
		}
	}
	return c.results
}

// abortable is a transport that fails at once, and for good, when alive is done: kafka-go's writer
// goes through all its attempts before it closes, but tries an error like context.Canceled once. And it
// takes a partition that has no leader, as while brokers restart, for what it is, and not for final.
type abortable struct {
	kafka.RoundTripper
	alive context.Context //nolint:containedctx // it is the writer's life, not a call's
}

func (a abortable) RoundTrip(ctx context.Context, addr net.Addr, req kafka.Request) (kafka.Response, error) {
	if a.alive.Err() != nil {
		return nil, a.alive.Err()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.alive, cancel)() //nolint:contextcheck // of the two, ctx is handed on
	res, err := a.RoundTripper.RoundTrip(ctx, addr, req)
	if errors.Is(err, protocol.ErrNoLeader) { // to kafka-go this one, of its own, is not temporary
		return nil, fmt.Errorf("%w: %w", err, kafka.LeaderNotAvailable)
	}
	return res, err
}
