package judge

import (
	"slices"
	"sync"
)

// topics are the ledgers of a topic and of those that were made anew under its name, the oldest first.
type topics struct {
	mu  sync.RWMutex // taken before a ledger's, behind all others
	all []*ledger
}

func (t *topics) add() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, &ledger{strays: map[uint64]Kind{}})
}

func (t *topics) newest() (int, *ledger) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.all) - 1, t.all[len(t.all)-1]
}

// get returns a topic's ledger, or nil where there is no such topic.
func (t *topics) get(topic int) *ledger {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if topic < 0 || topic >= len(t.all) {
		return nil
	}
	return t.all[topic]
}

func (t *topics) list() []*ledger {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Clip(t.all)
}

// holding returns the newest topic that has this content at an offset; below 0 is none.
func (t *topics) holding(partition int32, offset int64, sum uint64) int {
	all := t.list()
	for topic, l := range slices.Backward(all) {
		if r := l.look(partition, offset, sum); r != 0 && r.is(sum) {
			return topic
		}
	}
	return -1
}
