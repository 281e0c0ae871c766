package consumer

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
)

const (
	// commitEvery is how often what is settled is committed.
	commitEvery = time.Second
	// sessionTimeout is how long an owner that has died without a word is waited for.
	sessionTimeout    = 10 * time.Second
	heartbeatInterval = 2 * time.Second
	// groupTimeout bounds each request to the coordinator, and how long a rebalance waits for a member.
	groupTimeout = 10 * time.Second
	// joinPause is how long a member pauses that could not join.
	joinPause = time.Second
	// partitionsEvery is how often new partitions are looked for, to be shared out.
	partitionsEvery = 5 * time.Second
)

// group is this gateway's part in the consumer group. Who owns a partition commits what is settled of it and writes its bad
// records to the dead-letter topic; streams have no part in it, nor it in them.
type group struct {
	c       *Consumer
	letters *letterbox
	wake    chan struct{} // there is something to be settled
	kept    chan struct{} // dead letters have been written: if they are not committed, the next owner writes them again

	rebalances, written, failures atomic.Int64

	mu      sync.Mutex
	ledgers map[int32]*ledger // of the partitions that are owned
	trouble string            // why dead letters can not be written at present
}

func newGroup(c *Consumer) *group {
	return &group{c: c, wake: make(chan struct{}, 1), kept: make(chan struct{}, 1), ledgers: map[int32]*ledger{}}
}

// run takes part in the group until ctx ends; then it leaves it, all that is settled being committed.
func (g *group) run(ctx context.Context) {
	var err error
	if g.letters, err = openLetterbox(g.c.cfg.Kafka, g.c.cfg.Topic+deadSuffix); err != nil {
		g.c.troubles.lost(groupName, err)
		return
	}
	defer g.letters.close()
	dialer, err := g.c.cfg.Kafka.Dialer()
	if err != nil {
		g.c.troubles.lost(groupName, err)
		return
	}
	members, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: g.c.cfg.GroupID, Brokers: g.c.cfg.Kafka.Brokers, Dialer: dialer.Dialer, Topics: []string{g.c.cfg.Topic},
		WatchPartitionChanges: true, PartitionWatchInterval: partitionsEvery,
		HeartbeatInterval: heartbeatInterval, SessionTimeout: sessionTimeout, RebalanceTimeout: groupTimeout,
		Timeout: groupTimeout, JoinGroupBackoff: joinPause, StartOffset: kafka.FirstOffset,
	})
	if err != nil {
		g.c.troubles.lost(groupName, err)
		return
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		hurry := time.AfterFunc(groupTimeout/2, dialer.Close) // the coordinator may be gone
		defer hurry.Stop()
		_ = members.Close() // returns nil
		dialer.Close()
	})
	defer func() {
		if !stop() {
			<-ended
		}
	}()
	for ctx.Err() == nil {
		generation, err := members.Next(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			g.c.troubles.lost(groupName, g.c.cfg.Kafka.Explain(err))
		default:
			g.c.troubles.over(groupName)
			g.rebalances.Add(1)
			generation.Start(func(ctx context.Context) { g.serve(ctx, generation) })
		}
	}
}

const groupName = "consumer group"

// serve settles and commits what the gateway owns in a generation, until ctx ends, which is the generation's end.
//
//nolint:contextcheck // it goes on for a moment when ctx has ended
func (g *group) serve(ctx context.Context, generation *kafka.Generation) {
	g.own(generation.Assignments[g.c.cfg.Topic])
	defer g.own(nil)
	// What is being written is let finish: the next owner would write it again.
	settling, end := context.WithCancel(context.Background())
	writing, cut := context.WithCancel(context.Background())
	defer end()
	defer cut()
	var wg sync.WaitGroup
	wg.Go(func() { g.settle(settling, writing) })
	tick := time.NewTicker(commitEvery)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-tick.C:
		case <-g.kept:
		case <-ctx.Done():
			ended = true
			end()
			hurry := time.AfterFunc(groupTimeout/4, cut)
			wg.Wait()
			hurry.Stop()
		}
		if err := g.commit(generation); err != nil && !ended {
			g.c.troubles.lost(commitName, g.c.cfg.Kafka.Explain(err))
		} else if err == nil {
			g.c.troubles.over(commitName)
		}
	}
}

const commitName = "commits"

// own enters which partitions are owned, and what was committed of them.
func (g *group) own(assigned []kafka.PartitionAssignment) {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.ledgers)
	var ids []int
	for _, a := range assigned {
		first := int64(0)
		if a.ID < g.c.table.len() {
			first = g.c.table.get(int32(a.ID)).first
		}
		g.ledgers[int32(a.ID)] = newLedger(a.Offset, first) // below 0 is none
		ids = append(ids, a.ID)
	}
	if assigned != nil {
		slices.Sort(ids)
		g.c.logger.Info("owns partitions", "group", g.c.cfg.GroupID, "partitions", fmt.Sprint(ids))
	}
}

// owned returns the owned partitions that are known, in order.
func (g *group) owned() []int32 {
	known := int32(g.c.table.len())
	g.mu.Lock()
	defer g.mu.Unlock()
	var ids []int32
	for id := range g.ledgers {
		if id < known {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// met is told of a bad record that has come live.
func (g *group) met(partition int32, offset int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.ledgers[partition]; l != nil {
		l.met(offset)
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}
}

// with calls f with a partition's ledger, if it is still owned.
func (g *group) with(id int32, f func(*ledger)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.ledgers[id]; l != nil {
		f(l)
	}
}

// commit commits what has been settled since the last time.
func (g *group) commit(generation *kafka.Generation) error {
	offsets := map[int]int64{}
	for _, id := range g.owned() {
		next := g.c.table.get(id).next
		g.with(id, func(l *ledger) {
			if settled := l.settled(next); settled > l.committed && settled > 0 {
				offsets[int(id)] = settled
			}
		})
	}
	if len(offsets) == 0 {
		return nil
	}
	if err := generation.CommitOffsets(map[string]map[int]int64{g.c.cfg.Topic: offsets}); err != nil {
		return fmt.Errorf("commit offsets: %w", err)
	}
	for id, offset := range offsets {
		g.with(int32(id), func(l *ledger) { l.committed = max(l.committed, offset) })
	}
	return nil
}

// enter enters what is owned, and what is wrong with dead letters.
func (g *group) enter(s *Status) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.DeadLetterTrouble = g.trouble
	for i := range s.Partitions {
		if l := g.ledgers[s.Partitions[i].Partition]; l != nil {
			s.Partitions[i].Owned, s.Partitions[i].Committed = true, l.committed
		}
	}
}
