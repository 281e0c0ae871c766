package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

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

// group makes this gateway a member of the consumer group. What the group assigns to it, it settles
// and commits; what is read and streamed does not depend on it.
type group struct {
	c        *Consumer
	ledger   *ledger
	troubles *troubles // apart from those of reading
	source   *client
	dead     *deadTopic

	cut      map[int32]int64 // where partitions were cut back, and nothing has been committed since; ownership's
	cutUntil time.Time       // when that is of no use any more

	rebalances, failures atomic.Int64
}

// newGroup returns nil where there is no group to be in.
func newGroup(c *Consumer) *group {
	if c.cfg.GroupID == "" {
		return nil
	}
	return &group{c: c, ledger: newLedger(), troubles: newTroubles(c.logger)}
}

// cutFor is how long a commit behind where a partition was cut back may be one of before: it takes so long at the most
// until all gateways have noticed, and owners have committed. A commit of later is not to be gone behind.
const cutFor = 2 * time.Minute

// cutBack enters where partitions were cut back, before the group is joined.
func (g *group) cutBack(cut map[int32]int64) {
	if g != nil {
		g.cut, g.cutUntil = cut, time.Now().Add(cutFor)
	}
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
		topicID: g.c.client.topicID, fetchVersion: g.c.client.fetchVersion,
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
	g.follow(ctx, membership)
	// Closing waits for answers, of a rebalance too. Without connections there are none.
	late := time.AfterFunc(g.leaveTimeout(), dialer.Close)
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
			(&ownership{g: g, generation: generation}).run(ctx)
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
	waiting    []kafka.PartitionAssignment // for the partition to be known here
	claims     []*claim
	settlers   sync.WaitGroup
}

// run settles and commits until the generation ends, or should.
func (o *ownership) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o.waiting = o.generation.Assignments[o.g.c.cfg.Topic]
	assigned := numbers(o.waiting)
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
	ours := map[string]bool{consumerGroup: true, commits: true, deadLetters: len(assigned) > 0}
	for _, id := range assigned {
		ours[deadLettersOf(id)] = true
	}
	g.troubles.keep(func(what string) bool { return ours[what] })
}

// claim begins to settle what is assigned and known.
func (o *ownership) claim(ctx context.Context) {
	var unknown []kafka.PartitionAssignment
	for _, a := range o.waiting {
		committed, ok := o.committed(ctx, a)
		if !ok {
			unknown = append(unknown, a)
			continue
		}
		c := o.g.ledger.claim(int32(a.ID), committed)
		o.claims = append(o.claims, c)
		s := &settler{g: o.g, claim: c, inspect: o.g.c.newInspector(), out: newBatchWriter(o.g.dead.client)}
		o.settlers.Go(func() { s.run(ctx) })
	}
	if len(o.claims) > 0 && len(unknown) < len(o.waiting) {
		o.settlers.Go(func() { o.prepare(ctx) })
	}
	o.waiting = unknown
}

// committed returns what the group has committed of a partition, below 0 where that is nothing, or behind the
// partition's end, as of a topic that has been made anew. It reports false as long as that is not known.
func (o *ownership) committed(ctx context.Context, a kafka.PartitionAssignment) (int64, bool) {
	if a.ID >= o.g.c.table.len() {
		return 0, false
	}
	p := o.g.c.table.get(int32(a.ID))
	if at, ok := o.g.cut[p.id]; ok && time.Now().Before(o.g.cutUntil) {
		a.Offset = min(a.Offset, at)
	}
	if a.Offset <= p.next {
		return a.Offset, true
	}
	end, err := o.g.source.offsets(ctx, []placement{{partition: p.id, leader: p.leader, epoch: p.epoch}}, latest)
	switch {
	case err != nil:
		return 0, false
	case a.Offset > end[0]:
		return -1, true
	}
	return a.Offset, true
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
	offsets := map[int]int64{}
	for _, c := range o.claims {
		next := o.g.c.table.get(c.partition).next
		if settled := o.g.ledger.settled(c, next); settled > o.g.ledger.committed(c) {
			offsets[int(c.partition)] = settled
		}
	}
	if len(offsets) == 0 {
		return
	}
	err := o.generation.CommitOffsets(map[string]map[int]int64{o.g.c.cfg.Topic: offsets})
	if err != nil {
		if ctx.Err() == nil { // at a generation's end others may be the owners already
			o.g.troubles.lost(commits, o.g.c.cfg.Kafka.Explain(err))
		}
		return
	}
	o.g.troubles.over(commits)
	for _, c := range o.claims {
		if offset, ok := offsets[int(c.partition)]; ok {
			delete(o.g.cut, c.partition)
			o.g.ledger.setCommitted(c, offset)
		}
	}
}
