package consumer

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// partition is what is known of a partition. The table's lock guards it.
type partition struct {
	id     int32
	leader int32
	epoch  int32

	next int64 // all before it is in the log
	end  int64 // where what may be read ended when last heard of; unknown is -1
	high int64 // where the partition ended, open transactions included; unknown is -1

	live     bool // it is followed, not refilled
	taken    bool // a fetch of it is under way
	failures int  // in a row, of the partition
	outages  int  // in a row, of whole fetches
	retryAt  time.Time
	stuck    bool // its offset is out of range, and that has been logged

	bad     int64
	skipped int64 // offsets that Kafka had deleted before they were read
}

// table is the partitions, and who is fetching them. Its methods are safe for
// concurrent use.
type table struct {
	group func(partition, leader int32) int32 // the fetcher's

	mu         sync.Mutex
	partitions []*partition // by number
	changed    chan struct{}
	following  map[int32]bool
	cancels    map[int32]context.CancelFunc // of the fetches under way, by group
}

func newTable() *table {
	return &table{
		changed: make(chan struct{}), following: map[int32]bool{}, cancels: map[int32]context.CancelFunc{},
	}
}

// groupOf holds mu and returns the partition's group.
func (t *table) groupOf(p *partition) int32 {
	return t.group(p.id, p.leader)
}

func (t *table) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.partitions)
}

// add enters the partition with the next number.
func (t *table) add(p *partition) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.partitions = append(t.partitions, p)
	t.wake()
}

// update changes a partition.
func (t *table) update(id int32, change func(*partition)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(t.partitions[id])
}

// follow makes a partition live, from an offset on.
func (t *table) follow(id int32, next int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.partitions[id]
	p.next, p.live = max(p.next, next), true
	t.wake()
}

// get returns a copy of a partition.
func (t *table) get(id int32) partition {
	t.mu.Lock()
	defer t.mu.Unlock()
	return *t.partitions[id]
}

// locate returns a copy of a partition, and its group.
func (t *table) locate(id int32) (partition, int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return *t.partitions[id], t.groupOf(t.partitions[id])
}

// all returns a copy of all partitions.
func (t *table) all() []partition {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]partition, len(t.partitions))
	for i, p := range t.partitions {
		list[i] = *p
	}
	return list
}

// wake holds mu.
func (t *table) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// waiting returns a channel that is closed at the next change.
func (t *table) waiting() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changed
}

// place says who leads the partitions now. A fetch from a broker that does not
// lead one of its partitions any more is given up.
func (t *table) place(placements []placement) {
	t.mu.Lock()
	defer t.mu.Unlock()
	moved := false
	for _, at := range placements {
		if int(at.partition) >= len(t.partitions) {
			continue
		}
		p := t.partitions[at.partition]
		if (p.leader == at.leader && p.epoch == at.epoch) || at.epoch < p.epoch { // from a broker that has been cut off
			continue
		}
		was := t.groupOf(p)
		p.leader, p.epoch = at.leader, at.epoch
		p.retryAt = time.Time{} // another leader, another chance
		moved = true
		if cancel := t.cancels[was]; cancel != nil && p.taken && was != t.groupOf(p) {
			cancel()
		}
	}
	if moved {
		t.wake()
	}
}

// failing reports whether any partition can not be read at present.
func (t *table) failing() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.partitions, func(p *partition) bool { return p.failures > 0 || p.outages > 0 })
}

// giveUp cancels the fetch of a partition that is under way, if one is, and returns the partition's group.
func (t *table) giveUp(id int32) int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.partitions[id]
	g := t.groupOf(p)
	if cancel := t.cancels[g]; cancel != nil && p.taken {
		cancel()
	}
	return g
}

// retry lets everything be tried again at once.
func (t *table) retry() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.partitions {
		p.retryAt = time.Time{}
	}
	t.wake()
}

// unfollowed returns the groups of live partitions that nobody follows, and
// enters them as followed.
func (t *table) unfollowed() []int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var groups []int32
	for _, p := range t.partitions {
		if g := t.groupOf(p); p.live && g != noGroup && !t.following[g] {
			t.following[g] = true
			groups = append(groups, g)
		}
	}
	return groups
}

// take returns the positions of a group's live partitions that may be fetched
// now, which then belong to the caller until it releases them; and, if there are
// none, how long to wait for the first. gone says that there is no partition in
// the group, and that it counts as unfollowed.
func (t *table) take(g int32, cancel context.CancelFunc) (at []position, wait time.Duration, gone bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	wait, gone = maxBackoff, true
	for _, p := range t.partitions {
		if !p.live || t.groupOf(p) != g {
			continue
		}
		gone = false
		if d := p.retryAt.Sub(now); d > 0 {
			wait = min(wait, d)
			continue
		}
		if !p.taken {
			p.taken = true
			at = append(at, position{partition: p.id, leader: p.leader, epoch: p.epoch, offset: p.next})
		}
	}
	if gone {
		delete(t.following, g)
		return nil, 0, true
	}
	if len(at) > 0 {
		t.cancels[g] = cancel
	}
	for i := range at {
		at[i].maxBytes = share(len(at))
	}
	return at, wait, false
}

// release gives back what take has taken.
func (t *table) release(g int32, at []position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.cancels, g)
	for _, a := range at {
		t.partitions[a.partition].taken = false
	}
	// Others wait only for a partition that has moved to them.
	if slices.ContainsFunc(at, func(a position) bool { return t.groupOf(t.partitions[a.partition]) != g }) {
		t.wake()
	}
}

const (
	// allBytes is about how much is read at once, over all partitions.
	allBytes = 16 << 20
	minShare = 64 << 10
	maxShare = 1 << 20
)

// share returns how much of each of n partitions is read at once.
func share(n int) int32 {
	return int32(min(max(allBytes/cmp.Or(n, 1), minShare), maxShare))
}
