package consumer

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"paystream/payment"
)

const (
	// summaryEvery is how often the log sums up the bad records that it has not
	// told one by one.
	summaryEvery = 10 * time.Second
	// maxSummaries bounds what is told apart between two summaries.
	maxSummaries = 100
)

// badRecords counts and logs bad records. The first of a kind is logged at once;
// what follows of it, every 10 s as a count with the first and the last offset,
// so that a flood of them is no flood in the log. The kind is the partition and
// the reason.
type badRecords struct {
	logger *slog.Logger

	mu    sync.Mutex
	kinds map[badKind]*badSpan
}

type badKind struct {
	partition     int32
	field, reason string
}

// badSpan is the records of a kind since the last summary.
type badSpan struct {
	count       int64
	first, last int64 // offsets
}

func newBadRecords(logger *slog.Logger) *badRecords {
	return &badRecords{logger: logger, kinds: map[badKind]*badSpan{}}
}

func (b *badRecords) add(partition int32, offset int64, why *payment.Rejection) {
	kind := badKind{partition, why.Field, why.Reason}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.kinds) >= maxSummaries && b.kinds[kind] == nil {
		kind = badKind{partition: partition, reason: "various"}
	}
	s := b.kinds[kind]
	if s == nil {
		b.kinds[kind] = &badSpan{}
		b.logger.Warn("bad record", "partition", partition, "offset", offset, "field", why.Field, "reason", why.Reason)
		return
	}
	if s.count == 0 {
		s.first = offset
	}
	s.count++
	s.last = offset
}

// run sums up until ctx ends.
func (b *badRecords) run(ctx context.Context) {
	ticker := time.NewTicker(summaryEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			b.sumUp()
			return
		case <-ticker.C:
			b.sumUp()
		}
	}
}

// sumUp logs what has been counted, and forgets the kinds that there was no more
// of.
func (b *badRecords) sumUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for kind, s := range b.kinds {
		if s.count == 0 {
			delete(b.kinds, kind)
			continue
		}
		b.logger.Warn("more bad records", "partition", kind.partition, "field", kind.field, "reason", kind.reason,
			"count", s.count, "first_offset", s.first, "last_offset", s.last)
		*s = badSpan{}
	}
}
