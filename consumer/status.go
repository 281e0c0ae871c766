package consumer

import "time"

// Status is what is known of a consumer at one moment.
type Status struct {
	// Ready says that the log once had all that was in the topic when the
	// consumer began. It stays true whatever becomes of Kafka.
	Ready bool
	// Reason is why not, for operators: what is being done or was tried, what
	// went wrong, and what to do about it. Empty when Ready.
	Reason string
	// Trouble is what is wrong with Kafka at present, also when Ready. Empty is
	// nothing.
	Trouble string
	// Topic is the topic's name, Fingerprint tells it from any other topic of
	// this or another cluster, also one of the same name. The zero Fingerprint
	// is not known yet.
	Topic       string
	Fingerprint [8]byte
	// Partitions are by number; there are none before the topic is known.
	Partitions []PartitionStatus
	// Lag, BadRecords and Skipped are sums over the partitions.
	Lag        int64
	BadRecords int64
	Skipped    int64
	// Fetches is how often a broker was asked for records.
	Fetches int64
	// ReadersReplaced is how often a partition's reader was replaced because it stood still.
	ReadersReplaced int64
	// Replays is how many replays are under way, ReplaysWaiting how many readers wait for one; ReplaysStarted is how
	// many there have been, Replayed how many records they have read. See [Consumer.Backfill].
	Replays, ReplaysWaiting  int
	ReplaysStarted, Replayed int64
	Group                    GroupStatus
}

// GroupStatus is what is known of this gateway's part in the consumer group.
type GroupStatus struct {
	// Trouble is why offsets can not be committed or dead letters not be written at present, and what
	// to do about it. Streams do not suffer from it. Empty is nothing.
	Trouble string
	// Rebalances is how often partitions were assigned.
	Rebalances int64
	// Failures is how often dead letters could not be read or written; each is tried again.
	Failures int64
	// DeadLetters and Pending are sums over the partitions.
	DeadLetters, Pending int64
}

// PartitionStatus is what is known of a partition.
type PartitionStatus struct {
	Partition int32
	// Next is the offset up to which the log has all there is.
	Next int64
	// End is where what may be read ended when last heard of: the last stable
	// offset, or the high watermark when uncommitted records are read. -1 is
	// not known yet.
	End int64
	// Lag is how many offsets are still to be read up to End.
	Lag int64
	// Held is how many offsets behind End are held by open transactions.
	Held int64
	// BadRecords counts the records that were left out as bad.
	BadRecords int64
	// Skipped counts the offsets that Kafka had deleted before they were read.
	Skipped int64
	// Owned says that this gateway commits the partition and writes its dead letters.
	Owned bool
	// Committed is the offset that an owner has committed or found to be; -1 is none.
	Committed int64
	// DeadLetters counts those that this gateway has written.
	DeadLetters int64
	// Pending is how many bad records an owner knows of that are not dead letters yet.
	Pending int64
	// RetryAt is when the partition will be tried again; zero unless it fails.
	RetryAt time.Time
}

// Status returns a snapshot. It is safe to call at any time.
func (c *Consumer) Status() Status {
	s := Status{
		Topic: c.cfg.Topic, Fetches: c.fetches.Load(), ReadersReplaced: c.replaced.Load(), Trouble: c.troubles.String(),
		Group: c.group.status(),
	}
	c.mu.Lock()
	s.Ready, s.Fingerprint, s.Reason = c.ready, c.fingerprint, c.phase
	c.mu.Unlock()
	switch {
	case s.Ready:
		s.Reason = ""
	case s.Trouble != "":
		s.Reason = s.Trouble
	}
	s.Replays, s.ReplaysWaiting = c.backfills.figures()
	s.ReplaysStarted, s.Replayed = c.backfills.started.Load(), c.backfills.records.Load()
	for _, p := range c.table.all() {
		ps := PartitionStatus{
			Partition: p.id, Next: p.next, End: p.end, BadRecords: p.bad, Skipped: p.skipped,
		}
		c.group.show(&ps)
		if p.failures > 0 || p.outages > 0 {
			ps.RetryAt = p.retryAt
		}
		if p.end >= 0 {
			ps.Lag = max(0, p.end-p.next)
			ps.Held = max(0, p.high-p.end)
		}
		s.Lag += ps.Lag
		s.BadRecords += ps.BadRecords
		s.Skipped += ps.Skipped
		s.Group.DeadLetters += ps.DeadLetters
		s.Group.Pending += ps.Pending
		s.Partitions = append(s.Partitions, ps)
	}
	return s
}

// GroupTrouble returns [GroupStatus.Trouble], at little cost.
func (c *Consumer) GroupTrouble() string {
	if c.group == nil {
		return ""
	}
	return c.group.troubles.String()
}

// status returns what is not of one partition.
func (g *group) status() GroupStatus {
	if g == nil {
		return GroupStatus{}
	}
	return GroupStatus{Trouble: g.troubles.String(), Rebalances: g.rebalances.Load(), Failures: g.failures.Load()}
}

// show enters what is known of a partition.
func (g *group) show(ps *PartitionStatus) {
	ps.Committed = -1
	if g == nil {
		return
	}
	b := g.ledger.balance(ps.Partition)
	ps.Owned, ps.Committed, ps.DeadLetters, ps.Pending = b.owned, b.committed, b.dead, b.pending
}
