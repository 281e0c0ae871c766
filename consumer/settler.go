package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// scanBytes is about how much is read at once where all has to be looked at, pickBytes where it is
	// one record.
	scanBytes = 1 << 20
	pickBytes = 16 << 10
	// lettersBytes and lettersCount bound what is written at once, but for one record that is larger.
	lettersBytes = 512 << 10
	lettersCount = 1000
)

// settler writes the dead letters of one claim. It reads the bad records again, by requests of its own,
// so that the stream carries nothing for them and waits for none of this.
type settler struct {
	g       *group
	claim   *claim
	inspect *inspector
	out     *batchWriter
	target  placement // where out has written last
}

// run returns when ctx ends, having finished what it was about to write.
func (s *settler) run(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		task, ok := s.g.ledger.task(s.claim)
		if !ok {
			select {
			case <-ctx.Done():
			case <-s.claim.wake:
			}
			continue
		}
		err := s.do(ctx, task)
		switch {
		case err == nil:
			failures = 0
			s.g.troubles.over(s.name())
		case ctx.Err() == nil:
			s.lost(err)
			sleep(ctx, backoff(failures))
			failures++
		}
	}
}

func (s *settler) name() string { return deadLettersOf(s.claim.partition) }

func (s *settler) lost(err error) {
	s.g.failures.Add(1)
	s.g.dead.forget()
	s.g.troubles.lost(s.name(), s.g.c.cfg.Kafka.Explain(err))
}

// do reads the first records of a task and writes the bad ones.
func (s *settler) do(ctx context.Context, t task) error {
	bytes := int32(pickBytes)
	if t.many {
		bytes = scanBytes
	}
	p := s.g.c.table.get(s.claim.partition)
	got, err := s.g.source.raw(ctx, placement{partition: p.id, leader: p.leader, epoch: p.epoch}, t.from, bytes)
	if err != nil {
		if errors.Is(err, kerr.OffsetOutOfRange) {
			err = s.skip(ctx, p, t)
		}
		return err
	}
	var letters []*kgo.Record
	size := 0
	for _, r := range got.records {
		if r.Offset < t.from || r.Offset >= t.to || !t.wants(r.Offset) {
			continue
		}
		why := s.inspect.inspect(r)
		if why == nil {
			continue
		}
		letter := deadLetter(s.g.c.cfg.Topic, s.g.c.client.topicID, r, why, time.Now())
		if n := sizeOf(letter); len(letters) > 0 && (size+n > lettersBytes || len(letters) == lettersCount) {
			if err := s.write(ctx, letters); err != nil {
				return err
			}
			letters, size = nil, 0
		}
		letters, size = append(letters, letter), size+sizeOf(letter)
	}
	if err := s.write(ctx, letters); err != nil {
		return err
	}
	next := min(got.next, t.to)
	if next <= t.from && t.from < got.end {
		return fmt.Errorf("reading again from offset %d brought nothing", t.from)
	}
	s.g.ledger.settle(s.claim, next, 0)
	return nil
}

// wants reports whether a record is one that the task is about.
func (t task) wants(offset int64) bool {
	if t.only == nil {
		return true
	}
	_, ok := slices.BinarySearch(t.only, offset)
	return ok
}

// skip passes over what Kafka has deleted.
func (s *settler) skip(ctx context.Context, p partition, t task) error {
	first, err := s.g.source.offsets(ctx, []placement{{partition: p.id, leader: p.leader, epoch: p.epoch}}, earliest)
	if err != nil {
		return err
	}
	if first[0] <= t.from {
		return errMoment
	}
	s.g.c.logger.Error("records deleted before they were looked at for bad ones: any among them are not in the dead-letter topic",
		"partition", p.id, "from", t.from, "to", min(first[0], t.to))
	s.g.ledger.settle(s.claim, first[0], 0)
	return nil
}

// write writes dead letters until they are acknowledged, and enters that. The error is the end of ctx.
func (s *settler) write(ctx context.Context, letters []*kgo.Record) error {
	if len(letters) == 0 {
		return nil
	}
	writing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	// What is being written when the claim ends has some time left: were it given up, the next owner
	// would write it again.
	defer context.AfterFunc(ctx, func() { time.AfterFunc(s.g.leaveTimeout()/2, cancel) })()
	for failures := 0; ; failures++ {
		n, err := s.try(writing, letters)
		if n > 0 {
			s.g.ledger.settle(s.claim, letters[n-1].Offset+1, n)
			letters = letters[n:]
		}
		switch {
		case err == nil && len(letters) == 0:
			s.g.troubles.over(s.name())
			return nil
		case err == nil:
			failures = -1
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		}
		s.lost(err)
		if !sleep(ctx, backoff(failures)) {
			return ctx.Err()
		}
	}
}

// try writes once and returns how many of the letters are acknowledged.
func (s *settler) try(ctx context.Context, letters []*kgo.Record) (int, error) {
	to, err := s.g.dead.place(ctx, s.claim.partition)
	if err != nil {
		return 0, err
	}
	if to.partition != s.target.partition {
		s.out = newBatchWriter(s.g.dead.client)
	}
	s.target = to
	_, err = s.out.write(ctx, to, letters)
	switch {
	case err == nil:
		return len(letters), nil
	case !errors.Is(err, kerr.MessageTooLarge) && !errors.Is(err, kerr.RecordListTooLarge):
		return 0, err
	case len(letters) > 1: // one by one
		if _, err = s.out.write(ctx, to, letters[:1]); err == nil {
			return 1, nil
		}
	}
	if errors.Is(err, kerr.MessageTooLarge) || errors.Is(err, kerr.RecordListTooLarge) {
		err = tooLarge(s.g.dead.client.topic, letters[0])
	}
	return 0, err
}

// tooLarge says what to change for a dead letter that its topic refuses.
func tooLarge(topic string, letter *kgo.Record) error {
	need := sizeOf(letter) + batchHead
	return &missingError{fmt.Sprintf("topic %q refuses a bad record of %d bytes: raise its %s to %d or more", topic, need, maxMessageBytes, need)}
}

// sizeOf is about what a record takes in a batch.
func sizeOf(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value) + 32
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value) + 10
	}
	return n
}
