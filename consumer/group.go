package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"paystream/internal/kafkaconn"
)

const (
	// sessionTimeout is how long an owner that has died keeps its partitions; heartbeatEvery how soon
	// a member notices a rebalance. A member that is cut off gives up after a heartbeat's time-out,
	// which is before others are given what it had.
	sessionTimeout   = 10 * time.Second
	heartbeatEvery   = time.Second
	groupTimeout     = 5 * time.Second
	rebalanceTimeout = 15 * time.Second
	joinPause        = time.Second // after a failure
	// commitEvery is how often what is settled is committed.
	commitEvery = time.Second
	// growthPause is how long after a new partition was seen the group is asked to share it out: not
	// every broker knows of it at once.
	growthPause = 2 * time.Second
	// lookBack is what counts where the settings do not say.
	lookBack = 1_000_000
	// leaveTimeout is how long the last commit and the leaving may take, unless the settings say less.
	leaveTimeout = 6 * time.Second
)

// The names of troubles.
const (
	consumerGroup = "consumer group"
	commits       = "commits"
	deadLetters   = "dead letters"
)

func deadLettersOf(partition int32) string { return deadLetters + " of " + partitionName(partition) }

func offsetOf(partition int32) string { return "committed offset of " + partitionName(partition) }

// group makes this gateway a member of the consumer group. What the group assigns to it, it settles
// and commits; what is read and streamed does not depend on it.
type group struct {
	c        *Consumer
	ledger   *ledger
	troubles *troubles // apart from those of reading
	source   *client
	dead     *deadTopic
	last     context.Context //nolint:containedctx // run's, but that it ends when the last commit may take no longer

	rebalances, failures atomic.Int64
}

// newGroup returns nil where there is no group to be in.
func newGroup(c *Consumer) *group {
	if c.cfg.GroupID == "" {
		return nil
	}
	return &group{c: c, ledger: newLedger(), troubles: newTroubles(c.logger)}
}

// open enters a partition, which is read from start on.
func (g *group) open(partition int32, start int64) {
	if g != nil {
		g.ledger.open(partition, start)
	}
}

// bad enters a bad record.
func (g *group) bad(partition int32, offset int64) {
	if g != nil {
		g.ledger.bad(partition, offset)
	}
}

// run takes part in the group until ctx ends: then it commits for the last time and leaves. It also
// ends when the topic is another one.
func (g *group) run(ctx context.Context) error {
	transport, err := g.c.cfg.Kafka.Transport(g.c.cfg.Topic) // of its own: no stream waits for it
	if err != nil {
		return fmt.Errorf("set up connections: %w", err)
	}
	defer transport.Close()
	g.source = &client{
		transport: transport, topic: g.c.cfg.Topic, committed: !g.c.cfg.ReadUncommitted,
		clusterID: g.c.client.clusterID, topicID: g.c.client.topicID, fetchVersion: g.c.client.fetchVersion,
	}
	g.dead = &deadTopic{
		source: g.source, client: &client{transport: transport, topic: DeadLetterTopic(g.c.cfg.Topic)},
		largest: g.c.cfg.MaxRecordBytes, logger: g.c.logger,
	}
	dialer, err := g.c.cfg.Kafka.Dialer()
	if err != nil {
		return fmt.Errorf("set up connections: %w", err)
	}
	defer dialer.Close()
	membership, err := kafka.NewConsumerGroup(g.config(dialer))
	if err != nil {
		return fmt.Errorf("set up the consumer group: %w", err)
	}
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	g.last = last
	g.follow(ctx, membership)
	// Closing waits for answers, of a rebalance too. Without connections there are none.
	late := time.AfterFunc(g.leaveTimeout(), func() {
		cancel()
		dialer.Close()
	})
	defer late.Stop()
	return membership.Close()
}

func (g *group) leaveTimeout() time.Duration {
	if g.c.cfg.LeaveTimeout > 0 {
		return min(g.c.cfg.LeaveTimeout, leaveTimeout)
	}
	return leaveTimeout
}

func (g *group) config(dialer *kafkaconn.Dialer) kafka.ConsumerGroupConfig {
	return kafka.ConsumerGroupConfig{
		ID:                g.c.cfg.GroupID,
		Brokers:           g.c.cfg.Kafka.Brokers,
		Dialer:            dialer.Dialer,
		Topics:            []string{g.c.cfg.Topic},
		HeartbeatInterval: heartbeatEvery,
		SessionTimeout:    sessionTimeout,
		RebalanceTimeout:  rebalanceTimeout,
		JoinGroupBackoff:  joinPause,
		Timeout:           groupTimeout,
		// Partitions are watched here: kafka-go's watcher asks for the topic in a way that makes a
		// broker create it when it has been deleted.
		WatchPartitionChanges: false,
	}
}

// follow goes through the generations.
func (g *group) follow(ctx context.Context, membership *kafka.ConsumerGroup) {
	for failures := 0; ctx.Err() == nil && !g.c.gone.Load(); {
		generation, err := membership.Next(ctx)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, kafka.RebalanceInProgress) {
				g.troubles.lost(consumerGroup, g.c.cfg.Kafka.Explain(err))
			}
			sleep(ctx, backoff(failures))
			failures++
			continue
		}
		failures = 0
		g.troubles.over(consumerGroup)
		g.rebalances.Add(1)
		ended := make(chan struct{})
		generation.Start(func(ctx context.Context) {
			defer close(ended)
			(&ownership{g: g, generation: generation, offsets: newOffsetStore(g.source, g.c.cfg.GroupID)}).run(ctx)
		})
		select {
		case <-ended:
		case <-ctx.Done(): // closing the membership ends it
		}
	}
}

// ownership is what this gateway settles in one generation of the group.
type ownership struct {
	g          *group
	generation *kafka.Generation
	offsets    *offsetStore
	found      *committedOffsets // when the generation began; nil is not known yet
	waiting    []int32           // assigned, but not claimed yet
	claims     []*claim
	settlers   sync.WaitGroup
}

// run settles and commits until the generation ends, or should.
func (o *ownership) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	assigned := numbers(o.generation.Assignments[o.g.c.cfg.Topic])
	o.waiting = assigned
	o.g.c.logger.Info("partitions assigned", "generation", o.generation.ID, "partitions", assigned)
	o.g.keepTroubles(assigned)
	known := o.g.c.table.len()
	var grown time.Time
	ticker := time.NewTicker(commitEvery)
	defer ticker.Stop()
	for {
		o.claim(ctx)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
		if now := o.g.c.table.len(); now > known {
			known, grown = now, time.Now()
		}
		if ctx.Err() != nil || o.g.c.gone.Load() || !grown.IsZero() && time.Since(grown) > growthPause {
			break
		}
		o.commit(ctx)
	}
	cancel()
	o.settlers.Wait()
	if !o.g.c.gone.Load() {
		o.commit(ctx)
	}
	for _, c := range o.claims {
		o.g.ledger.release(c)
	}
}

func numbers(assigned []kafka.PartitionAssignment) []int32 {
	list := make([]int32, len(assigned))
	for i, a := range assigned {
		list[i] = int32(a.ID)
	}
	return list
}

// keepTroubles forgets those with partitions that are others' now.
func (g *group) keepTroubles(assigned []int32) {
	ours := map[string]bool{consumerGroup: true, commits: len(assigned) > 0, deadLetters: len(assigned) > 0}
	for _, id := range assigned {
		ours[deadLettersOf(id)], ours[offsetOf(id)] = true, true
	}
	g.troubles.keep(func(what string) bool { return ours[what] })
}

// claimsAtOnce is how many partitions are asked about at a time.
const claimsAtOnce = 8

// claim begins to settle what is assigned and known.
func (o *ownership) claim(ctx context.Context) {
	known := int32(o.g.c.table.len())
	if !slices.ContainsFunc(o.waiting, func(id int32) bool { return id < known }) {
		return
	}
	asking, cancel := context.WithTimeout(ctx, groupTimeout)
	defer cancel()
	if o.found == nil && !o.find(asking) {
		return
	}
	claims := make([]*claim, len(o.waiting))
	var all errgroup.Group
	all.SetLimit(claimsAtOnce)
	for i, id := range o.waiting {
		if id < known {
			all.Go(func() error { claims[i] = o.claimOf(asking, id); return nil })
		}
	}
	_ = all.Wait() // none fails
	var left []int32
	for i, c := range claims {
		if c == nil {
			left = append(left, o.waiting[i])
			continue
		}
		o.claims = append(o.claims, c)
		s := &settler{g: o.g, claim: c, inspect: o.g.c.newInspector(), out: newBatchWriter(o.g.dead.client)}
		o.settlers.Go(func() { s.run(ctx) })
	}
	if len(left) < len(o.waiting) {
		o.settlers.Go(func() { o.prepare(ctx) })
	}
	o.waiting = left
}

// find finds out what the group has committed.
func (o *ownership) find(ctx context.Context) bool {
	found, err := o.offsets.fetch(ctx, o.g.c.table.len())
	if err != nil {
		o.lost(ctx, commits, err)
		return false
	}
	o.found = found
	o.g.troubles.over(commits)
	return true
}

// claimOf claims a partition, or returns nil where Kafka does not say from where on.
func (o *ownership) claimOf(ctx context.Context, id int32) *claim {
	p := o.g.c.table.get(id)
	from, committed, err := o.begin(ctx, placement{partition: id, leader: p.leader, epoch: p.epoch}, p.next)
	if err != nil {
		o.lost(ctx, offsetOf(id), err)
		return nil
	}
	o.g.troubles.over(offsetOf(id))
	o.g.c.logger.Debug("partition claimed", "partition", id, "committed", committed, "from", from)
	return o.g.ledger.claim(id, from, committed)
}

// lost notes what can not be done, but for the generation's end.
func (o *ownership) lost(ctx context.Context, what string, err error) {
	if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		o.g.troubles.lost(what, o.g.c.cfg.Kafka.Explain(err))
	}
}

// begin returns from where a partition is settled whose records are in the log up to next, and what of that the group has
// committed, -1 where that is nothing.
func (o *ownership) begin(ctx context.Context, at placement, next int64) (from, committed int64, err error) {
	c, ok := o.found.of[at.partition]
	if !ok {
		from, err = o.first(ctx, at, int(at.partition) >= o.found.partitions)
		return from, -1, err
	}
	if c.epoch != unknownEpoch && c.epoch < at.epoch { // Kafka may have gone back behind it since
		end, err := o.g.source.epochEnd(ctx, at, c.epoch)
		if err != nil {
			return 0, 0, fmt.Errorf("ask where leader epoch %d ended: %w", c.epoch, err)
		}
		c.offset = min(c.offset, end)
	}
	if c.offset > next {
		end, err := o.g.source.offsets(ctx, []placement{at}, latest)
		switch {
		case err != nil:
			return 0, 0, err
		case c.offset > end[0] && !c.ours: // as of a topic that was made anew
			from, err = o.first(ctx, at, false)
			return from, -1, err
		}
		c.offset = min(c.offset, end[0]) // what is read now may be less than what was
		o.g.c.epochs.hasRead(at.partition, at.epoch, c.offset)
	}
	return c.offset, c.offset, nil
}

// first returns from where a partition is settled of which nothing has been committed: from its first record, where it was
// added while the group was there. One that the group has begun with may have a long past: of that, what is retained
// counts, and some records before it.
func (o *ownership) first(ctx context.Context, at placement, added bool) (int64, error) {
	first, err := o.g.source.offsets(ctx, []placement{at}, earliest)
	if err != nil {
		return 0, err
	}
	if added {
		return first[0], nil
	}
	back := cmp.Or(max(0, o.g.c.cfg.LookBack), lookBack) / o.g.c.table.len()
	from := max(first[0], o.g.ledger.start(at.partition)-int64(back))
	if from > first[0] {
		o.g.c.logger.Info("the group has no offset of the partition to go on from: bad records before this one are not looked for",
			"partition", at.partition, "offset", from)
	}
	return from, nil
}

// prepare makes the dead-letter topic before there is a bad record: whoever has to make it by hand is
// told at the start.
func (o *ownership) prepare(ctx context.Context) {
	for failures := 0; ; failures++ {
		_, err := o.g.dead.place(ctx, 0)
		if err == nil {
			o.g.troubles.over(deadLetters)
			return
		}
		if ctx.Err() != nil {
			return
		}
		o.g.troubles.lost(deadLetters, o.g.c.cfg.Kafka.Explain(err))
		if !sleep(ctx, backoff(failures)) {
			return
		}
	}
}

// commit commits what has been settled since the last time.
func (o *ownership) commit(ctx context.Context) {
	offsets := map[int32]commit{}
	for _, c := range o.claims {
		next := o.g.c.table.get(c.partition).next
		if settled := o.g.ledger.settled(c, next); settled > o.g.ledger.committed(c) {
			offsets[c.partition] = commit{offset: settled, epoch: o.g.c.epochs.at(c.partition)}
		}
	}
	if len(offsets) == 0 {
		return
	}
	writing, cancel := context.WithTimeout(o.g.last, groupTimeout)
	defer cancel()
	err := o.offsets.write(writing, o.generation, o.found.partitions, offsets) //nolint:contextcheck // ctx may have ended: this is the last one
	if err != nil {
		if ctx.Err() == nil { // at a generation's end others may be the owners already
			o.g.troubles.lost(commits, o.g.c.cfg.Kafka.Explain(err))
		}
		return
	}
	o.g.troubles.over(commits)
	for _, c := range o.claims {
		if made, ok := offsets[c.partition]; ok {
			o.g.ledger.setCommitted(c, made.offset)
		}
	}
}
