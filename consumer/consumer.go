// Package consumer reads every partition of a topic from Kafka into a
// [broadcast.Log].
//
// What it guarantees:
//
//   - Order. The records of a partition are appended in offset order, each once
//     in the life of a [Consumer]. While it refills, partitions are merged by
//     Kafka's time; from there on they are appended as they arrive.
//   - Loss. Nothing that a read_committed consumer would be shown is left out,
//     but for bad records, which are counted and logged, and for what Kafka has
//     deleted before it was read, which is logged as an error. Nothing else is
//     appended: no marker and, unless the settings ask for them, no record of a
//     transaction that is open or aborted. The log moves on past what was left
//     out.
//   - Blocking. [Consumer.Run] returns when its context has ended and everything
//     that it started has. Appending waits for nobody, so a slow subscriber does
//     not slow the reading. A failure of Kafka's is retried for ever, with
//     pauses of 100 ms to 5 s, and one partition's or broker's does not hold up
//     the others once the gateway has caught up.
//
// With a group, the partitions that it assigns to this consumer are settled here: their bad records are
// written to the dead-letter topic, byte for byte and at least once, and what is committed never passes
// one that is not acknowledged there, nor what the log does not have. Reading and appending do not
// depend on the group, and wait for nothing of it.
//
// Less formally: a watcher polls the cluster's metadata; the refill reads the
// retained window up to where each partition ended at the start; then one
// goroutine per leader follows all its partitions with one fetch at a time. All
// of them go by one table of partitions, in which a partition belongs to at most
// one fetch at a time. Beside them, one goroutine for each owned partition reads
// its bad records again and writes them, and one commits.
package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"paystream/broadcast"
	"paystream/internal/kafkaconn"
	"paystream/payment"
)

// maxWait is how long a broker holds back the answer to a fetch that it has
// nothing for. An idle topic costs one fetch per leader in that time.
const maxWait = 500 * time.Millisecond

// Config says what to read.
type Config struct {
	Kafka kafkaconn.Config
	Topic string
	// GroupID is the consumer group whose members share out who commits and who writes dead letters.
	// Empty is none: then nobody does.
	GroupID string
	// LeaveTimeout bounds how long Run takes, when its context has ended, to write what it is about to
	// write, to commit and to leave the group; 0 and more than 6 s are 6 s.
	LeaveTimeout time.Duration
	// ReadUncommitted also reads records of transactions that are open or
	// aborted, by kafka-go's own reader. It can not tell an empty value from
	// none, what a topic with LogAppendTime gave a record as its time, and how
	// far a partition goes whose last records were compacted away.
	ReadUncommitted bool
	// MaxRecordBytes is the size from which on a record's value is a bad
	// record; 0 is no bound.
	MaxRecordBytes int
	Units          payment.Units
	// RetainRecords and RetainAge say how far back to begin: about so many
	// records over all partitions together, none older than that. 0 is no
	// bound. They should be the log's.
	RetainRecords int
	RetainAge     time.Duration
	// Replays is how many readers of what lies before the log there may be at once, each with a log of 8 MiB; 0 is
	// 4. See [Consumer.Backfill].
	Replays int
	// ReplayTurn is how long one of them goes on while others wait for their turn; 0 is 15 s.
	ReplayTurn time.Duration
	// LookBack is how many records before those that are retained, over all partitions, are looked through for bad ones
	// where the group has committed nothing at all; 0 is 1,000,000.
	LookBack int
	// Standstill is how long a partition may stand still that has more; then its reader is replaced. 0 is 20 s.
	Standstill time.Duration
	// Logger is told of changes of state, and of bad records by partition,
	// offset and reason; never of a record's content. Nil is none.
	Logger *slog.Logger
}

// Consumer reads a topic into a log. Create one with [New].
type Consumer struct {
	cfg      Config
	log      *broadcast.Log
	logger   *slog.Logger
	bad      *badRecords
	troubles *troubles
	// backfills serve what the log no longer holds.
	backfills *backfills
	looks     looks
	fetches   atomic.Int64
	replaced  atomic.Int64 // readers, since they stood still
	gone      atomic.Bool  // the topic is another one
	table     *table
	epochs    *epochs
	kick      chan struct{} // asks the watcher for fresh metadata
	group     *group        // nil is none

	// Set by Run.
	stop    context.CancelCauseFunc
	client  *client
	fetcher fetcher

	mu          sync.Mutex
	phase       string // what is being done, while not ready
	ready       bool
	fingerprint [8]byte
}

// New returns a consumer that will read into log. It does not connect, and
// fails only on settings that can not be right.
func New(cfg Config, log *broadcast.Log) (*Consumer, error) {
	if err := cfg.Kafka.Validate(); err != nil {
		return nil, err
	}
	if cfg.Topic == "" {
		return nil, errors.New("KAFKA_TOPIC: no topic given")
	}
	logger := cfg.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	logger = logger.With("topic", cfg.Topic)
	c := &Consumer{
		cfg:      cfg,
		log:      log,
		logger:   logger,
		bad:      newBadRecords(logger),
		troubles: newTroubles(logger),
		table:    newTable(),
		epochs:   newEpochs(),
		kick:     make(chan struct{}, 1),
		phase:    "not started",
	}
	c.backfills = newBackfills(c)
	c.group = newGroup(c)
	return c, nil
}

// Run reads until ctx ends, and returns nil then; or [ErrReplaced] when the topic is no longer the one that it has
// begun with, or a [*TruncatedError] when Kafka has gone back behind what was read. It may be called once.
func (c *Consumer) Run(ctx context.Context) error {
	ctx, c.stop = context.WithCancelCause(ctx)
	defer c.stop(nil)
	transport, err := c.cfg.Kafka.Transport(c.cfg.Topic)
	if err != nil {
		return fmt.Errorf("set up connections: %w", err)
	}
	defer transport.Close()
	c.client = &client{transport: transport, topic: c.cfg.Topic, committed: !c.cfg.ReadUncommitted}
	c.fetcher = c.newFetcher()
	defer c.fetcher.close()
	c.table.group = c.fetcher.group

	spans := c.begin(ctx)
	if ctx.Err() != nil {
		return nil
	}
	var wg sync.WaitGroup
	wg.Go(func() { c.watch(ctx) })
	wg.Go(func() { c.bad.run(ctx) })
	wg.Go(func() { c.followAll(ctx) })
	wg.Go(func() { c.backfills.run(ctx) })
	wg.Go(func() { (&standstills{c: c}).run(ctx) })
	var groupErr error
	if c.group != nil {
		wg.Go(func() { groupErr = c.group.run(ctx) })
	}
	wg.Go(func() {
		if (&refill{c: c}).run(ctx, spans) {
			c.setReady()
		}
	})
	wg.Wait()
	if cause := context.Cause(ctx); errors.Is(cause, ErrReplaced) || isTruncated(cause) {
		return cause
	}
	return groupErr
}

func (c *Consumer) newFetcher() fetcher {
	if c.cfg.ReadUncommitted {
		return newUncommitted(c.cfg.Kafka, c.client, &c.fetches)
	}
	return newCommitted(c.client, &c.fetches)
}

// begin waits for the topic, and finds from where to where each partition is
// refilled.
func (c *Consumer) begin(ctx context.Context) []span {
	c.setPhase("connecting to Kafka at " + c.client.brokers())
	for failures := 0; ; failures++ {
		view, spans, err := c.findWindow(ctx)
		if err == nil {
			c.troubles.over(metadata)
			c.adopt(view, spans)
			return spans
		}
		if ctx.Err() != nil {
			return nil
		}
		c.troubles.lost(metadata, c.cfg.Kafka.Explain(err))
		if !sleep(ctx, backoff(failures)) {
			return nil
		}
	}
}

func (c *Consumer) findWindow(ctx context.Context) (*view, []span, error) {
	view, err := c.client.metadata(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := c.client.learnVersion(ctx); err != nil {
		return nil, nil, err
	}
	c.setFingerprint(view.fingerprint())
	spans, err := c.client.window(ctx, view.partitions, c.cfg.RetainRecords, c.cfg.RetainAge, time.Now())
	return view, spans, err
}

// adopt opens the partitions of the start in the log and in the table.
func (c *Consumer) adopt(view *view, spans []span) {
	c.client.found(view)
	var records int64
	for i, s := range spans {
		c.log.Open(s.partition, s.start)
		c.group.open(s.partition, s.start)
		c.begins(s.partition, view.partitions[i].epoch, s.end)
		c.table.add(&partition{id: s.partition, next: s.start, end: s.end, leader: view.partitions[i].leader, epoch: view.partitions[i].epoch})
		records += s.end - s.start
	}
	c.logger.Info("refilling", "partitions", len(spans), "offsets", records)
	c.setPhase(fmt.Sprintf("reading the retained payments: about %d records of %d partitions", records, len(spans)))
}

func (c *Consumer) setReady() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = true
	c.logger.Info("caught up")
}

func (c *Consumer) setPhase(phase string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.phase = phase
}

func (c *Consumer) setFingerprint(f [8]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fingerprint = f
}
