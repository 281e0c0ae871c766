package consumer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/internal/kafkaconn"
	"paystream/payment"
)

// deadSuffix makes the dead-letter topic's name of its source's.
const deadSuffix = ".dlq"

const (
	// throughBytes is how much is read at once of what is to be looked through, pickBytes of what one bad record is
	// looked up in.
	throughBytes = 1 << 20
	pickBytes    = 64 << 10
	// idle is how long the owner of partitions rests that has nothing to settle, unless it is woken.
	idle = time.Second
)

// settle writes the bad records of the partitions that are owned to the dead-letter topic, until ctx ends; what it is
// about then goes on until writing ends. It reads them again from Kafka, with all that they have, so that the streams'
// way carries none of that.
func (g *group) settle(ctx, writing context.Context) {
	decoder := &payment.Decoder{Units: g.c.cfg.Units, MaxBytes: g.c.cfg.MaxRecordBytes}
	for failures := 0; ctx.Err() == nil; {
		moved, failed := false, false
		for _, id := range g.owned() {
			more, err := g.settleSome(writing, id, decoder)
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				failed = true
				g.failed(err)
			}
			moved = moved || more
		}
		switch {
		case failed:
			sleep(ctx, backoff(failures))
			failures++
		case moved:
			failures = 0
			g.works()
		default:
			failures = 0
			pause(ctx, idle, g.wake)
		}
	}
}

func (g *group) failed(err error) {
	g.failures.Add(1)
	err = g.c.cfg.Kafka.Explain(err)
	g.mu.Lock()
	g.trouble = err.Error()
	g.mu.Unlock()
	g.c.troubles.lost(lettersName, err)
}

func (g *group) works() {
	g.mu.Lock()
	g.trouble = ""
	g.mu.Unlock()
	g.c.troubles.over(lettersName)
}

const lettersName = "dead letters"

// settleSome settles a part of what a partition has, and reports whether there was any.
func (g *group) settleSome(ctx context.Context, id int32, decoder *payment.Decoder) (bool, error) {
	p := g.c.table.get(id)
	at := placement{partition: id, leader: p.leader, epoch: p.epoch}
	var offset int64
	var through, todo, known bool
	g.with(id, func(l *ledger) {
		known = l.to != unknown
		offset, through, todo = l.todo()
	})
	switch {
	case !known:
		end, err := g.c.client.offsets(ctx, []placement{at}, latest)
		if err != nil {
			return false, err
		}
		g.with(id, func(l *ledger) { l.found(end[0]) })
		return true, nil
	case !todo:
		return false, nil
	}
	bytes := int32(pickBytes)
	if through {
		bytes = throughBytes
	}
	got, err := g.c.client.raw(ctx, at, offset, bytes)
	if errors.Is(err, kerr.OffsetOutOfRange) {
		return g.pass(ctx, at, offset)
	}
	if err != nil {
		return false, fmt.Errorf("read bad records again: %w", err)
	}
	if got.next == offset && len(got.records) == 0 {
		if got.end <= offset {
			return false, nil
		}
		got.next = got.end // nothing is there up to the end: it was compacted away
	}
	var upTo int64
	var wanted []*kgo.Record
	g.with(id, func(l *ledger) {
		upTo = l.upTo(got.next)
		for _, r := range got.records {
			if r.Offset < upTo && l.wants(r.Offset) {
				wanted = append(wanted, r)
			}
		}
	})
	n, err := g.writeBad(ctx, id, wanted, decoder)
	if err != nil {
		return false, err
	}
	g.with(id, func(l *ledger) { l.done(upTo) })
	if n > 0 {
		g.written.Add(int64(n))
		select {
		case g.kept <- struct{}{}:
		default:
		}
	}
	return true, nil
}

// writeBad writes the bad ones of a partition's records to the dead-letter topic, and returns how many those are.
func (g *group) writeBad(ctx context.Context, id int32, records []*kgo.Record, decoder *payment.Decoder) (int, error) {
	var letters []kafka.Record
	var sizes []int
	for _, r := range records {
		if r.Value == nil || (len(r.Value) == 0 && g.c.cfg.ReadUncommitted) { // as the stream has it
			continue
		}
		if _, _, err := decoder.Append(nil, r.Value, r.Timestamp.UnixMilli()); err != nil {
			l := deadLetter(g.c.cfg.Topic, g.c.client.topicIDText(), r, err)
			letters = append(letters, l.record())
			sizes = append(sizes, sizeOf(r)+overhead)
		}
	}
	if len(letters) == 0 {
		return 0, nil
	}
	err := g.letters.write(ctx, id, letters, sizes)
	if errors.Is(g.letters.cfg.Explain(err), kafkaconn.ErrNoTopic) {
		if err = g.letters.create(ctx, g.c.client); err == nil {
			return 0, errCreated // known to all brokers soon
		}
	}
	return len(letters), err
}

var errCreated = errors.New("the topic for bad records has just been created")

func sizeOf(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

// pass goes on behind what Kafka has deleted before it was settled.
func (g *group) pass(ctx context.Context, at placement, offset int64) (bool, error) {
	first, err := g.c.client.offsets(ctx, []placement{at}, earliest)
	if err != nil {
		return false, err
	}
	if first[0] <= offset {
		return false, &partitionError{at.partition, kerr.OffsetOutOfRange}
	}
	g.c.logger.Error("records deleted before the bad ones among them were kept; is the topic's retention long enough?",
		"partition", at.partition, "from", offset, "to", first[0])
	g.with(at.partition, func(l *ledger) { l.done(l.upTo(first[0])) })
	return true, nil
}
