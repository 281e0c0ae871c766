package consumer

import (
	"context"
	"time"

	"paystream/broadcast"
)

// span is the part of a partition that is refilled.
type span struct {
	partition  int32
	start, end int64
}

const (
	// nearest is the first guess of how far back the window reaches.
	nearest = time.Minute
	// halvings bounds the search between two guesses, a factor of 4 apart.
	halvings = 8
)

// window finds from where to refill: about so many records over all partitions
// together, the newest ones by Kafka's time, none older than age. It counts
// offsets, so compacted topics and transactions give fewer records. It asks each
// leader some 10 to 20 times.
func (c *client) window(
	ctx context.Context, of []placement, records int, age time.Duration, now time.Time,
) ([]span, error) {
	first, err := c.offsets(ctx, of, earliest)
	if err != nil {
		return nil, err
	}
	end, err := c.offsets(ctx, of, latest)
	if err != nil {
		return nil, err
	}
	spans := make([]span, len(of))
	for i, p := range of {
		start := first[i]
		if records > 0 {
			start = max(start, end[i]-int64(records)) // more is never wanted of one
		}
		spans[i] = span{partition: p.partition, start: min(start, end[i]), end: end[i]}
	}
	if age > 0 {
		if spans, err = c.since(ctx, of, spans, now.Add(-age)); err != nil {
			return nil, err
		}
	}
	if records <= 0 || length(spans) <= int64(records) {
		return spans, nil
	}
	if spans, err = c.newest(ctx, of, spans, int64(records), now); err != nil {
		return nil, err
	}
	return shrink(spans, int64(records)), nil
}

// since returns the parts of the spans from a time on.
func (c *client) since(ctx context.Context, of []placement, spans []span, t time.Time) ([]span, error) {
	at, err := c.offsets(ctx, of, t.UnixMilli())
	if err != nil {
		return nil, err
	}
	later := make([]span, len(spans))
	for i, s := range spans {
		if at[i] < 0 {
			at[i] = s.end // there is nothing as young
		}
		s.start = min(max(s.start, at[i]), s.end)
		later[i] = s
	}
	return later, nil
}

// newest returns the parts of the spans from the latest time on that leaves at
// least so many records.
func (c *client) newest(ctx context.Context, of []placement, spans []span, records int64, now time.Time) ([]span, error) {
	var best []span
	near, far := time.Duration(0), nearest
	for ; ; near, far = far, 4*far {
		if now.Add(-far).UnixMilli() <= 0 {
			return spans, nil
		}
		found, err := c.since(ctx, of, spans, now.Add(-far))
		if err != nil {
			return nil, err
		}
		if length(found) >= records {
			best = found
			break
		}
	}
	for range halvings {
		if length(best) <= records+records/10 {
			break
		}
		middle := near + (far-near)/2
		found, err := c.since(ctx, of, spans, now.Add(-middle))
		if err != nil {
			return nil, err
		}
		if length(found) >= records {
			best, far = found, middle
		} else {
			near = middle
		}
	}
	return best, nil
}

// shrink shortens spans that hold far more than so many records, each in
// proportion: times do not tell them apart.
func shrink(spans []span, records int64) []span {
	total := length(spans)
	if total <= 2*records {
		return spans
	}
	for i, s := range spans {
		keep := int64(float64(s.end-s.start)*float64(records)/float64(total)) + 1
		spans[i].start = max(s.start, s.end-keep)
	}
	return spans
}

// length is how many offsets the spans hold.
func length(spans []span) int64 {
	var n int64
	for _, s := range spans {
		n += s.end - s.start
	}
	return n
}

// Since returns where a reader stands who wants all that was published at a time or later: for each partition the
// first offset with such a time, or where it ends now; and under which leader epochs, below 0 where not known.
func (c *Consumer) Since(ctx context.Context, t time.Time) (broadcast.Vector, []int32, error) {
	var of []placement
	var epochs []int32
	for _, p := range c.table.all() {
		of = append(of, placement{partition: p.id, leader: p.leader, epoch: p.epoch})
		epochs = append(epochs, p.epoch)
	}
	if c.cfg.ReadUncommitted {
		epochs = nil
	}
	end, err := c.client.offsets(ctx, of, latest) // before the times are asked for, or what comes in between is missed
	if err != nil {
		return nil, nil, c.cfg.Kafka.Explain(err)
	}
	at, err := c.client.offsets(ctx, of, max(0, t.UnixMilli()))
	if err != nil {
		return nil, nil, c.cfg.Kafka.Explain(err)
	}
	for p := range at {
		if at[p] < 0 { // there is nothing as young
			at[p] = end[p]
		}
	}
	return at, epochs, nil
}
