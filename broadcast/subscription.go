package broadcast

import (
	"errors"
	"fmt"
)

// maxRunBytes is how much one [Subscription.Next] returns at the most, unless one frame is larger:
// what is written under one deadline.
const maxRunBytes = 64 << 10

// BehindError says that a reader needs records that have left the log.
type BehindError struct {
	// At is where the reader stands.
	At Vector
	// Oldest is the oldest vector that it can go on from, in no partition before At. It stays good for
	// a while, as the log moves on.
	Oldest Vector
}

func (e *BehindError) Error() string {
	return fmt.Sprintf("records before the retained window are needed: at %v, oldest %v", e.At, e.Oldest)
}

// Gap is offsets of a partition whose records are nowhere any more: From, and those up to To. Where To is less, those
// from To up to From, which had been read: the partition goes on at To with others.
type Gap struct {
	Partition int32
	From, To  int64
}

// GapError says that a reader has come to where records are lost.
type GapError struct {
	// At is where the reader stands, Next where it can go on.
	At, Next Vector
	Gaps     []Gap
}

func (e *GapError) Error() string { return fmt.Sprintf("records are lost: %v", e.Gaps) }

// behind returns the error of a reader that stands at a vector before the log.
func (l *Log) behind(at Vector) error {
	return &BehindError{At: at.Clone(), Oldest: l.Oldest().Max(at)}
}

// Start says where a subscription begins.
type Start struct {
	// Filter selects what is delivered.
	Filter Filter
	// Cursor, where not nil, is where the reader stands: all behind it is delivered. It may be ahead
	// of the log. The other fields do not count then.
	Cursor Vector
	// Existing delivers the latest retained states first, at most Limit of them (0 is all), the
	// newest kept.
	Existing bool
	Limit    int
	// Private, where not nil, makes the frames of which the cursor is not the log's, since Cursor is ahead of it.
	Private Render
}

// Subscription is one reader of a log. It belongs to one goroutine.
type Subscription struct {
	log      *Log
	existing *View
	live     *View
	filter   Filter

	pos    uint64
	vector Vector // where the reader stands

	snapshot   uint64 // before it, latest states are delivered; from it on, everything
	snapshotAt Vector

	resume Vector // until the log has passed it: what it covers is skipped
	own    Render // for frames that are the reader's alone

	ready <-chan struct{} // for head to move
}

// Subscribe returns a subscription that reads the latest states from one view and what follows from
// another. It fails with a [*BehindError] when the cursor's records have left the log.
func (l *Log) Subscribe(existing, live *View, start Start) (*Subscription, error) {
	s := &Subscription{log: l, existing: existing, live: live, filter: start.Filter, own: start.Private}
	if s.own == nil {
		s.own = live.render
	}
	for {
		switch err := s.begin(start); {
		case err == nil:
			return s, nil
		case !errors.Is(err, errLeft):
			return nil, err
		}
	}
}

// errLeft says that a position has left the log since it was looked up.
var errLeft = errors.New("left the log")

func (s *Subscription) begin(start Start) error {
	l := s.log
	if start.Cursor != nil {
		return s.beginAt(start.Cursor.Clone())
	}
	low, head := l.low.Load(), l.head.Load()
	at, ok := l.before(head)
	if !ok {
		return errLeft
	}
	s.pos, s.vector = head, l.passMarks(at, head)
	if !start.Existing {
		return nil
	}
	s.snapshot, s.snapshotAt = s.pos, s.vector
	s.pos = low
	if start.Limit > 0 {
		s.pos = s.newestMatching(start.Limit)
	}
	if s.vector, ok = l.at(s.pos); !ok {
		return errLeft
	}
	return nil
}

func (s *Subscription) beginAt(cursor Vector) error {
	last, head := s.log.last.Load(), s.log.head.Load()
	dir := *s.log.dir.Load() // one for both: what leaves between two would be skipped
	segment := dir.find(last)
	if segment == nil {
		return errLeft
	}
	if !cursor.Covers(segment.vectorAt(last).Max(*s.log.starts.Load())) {
		return s.log.behind(cursor)
	}
	s.resume, s.vector = cursor, cursor.Clone()
	s.pos = dir.firstBehind(cursor, last, head)
	return nil
}

// Existing reports whether the subscription still delivers latest states from before it began.
func (s *Subscription) Existing() bool { return s.pos < s.snapshot }

// Vector returns where the reader stands: all before it was delivered by Next, or was not for it.
func (s *Subscription) Vector() Vector {
	s.vector = s.log.passMarks(s.vector, s.pos)
	return s.vector.Clone()
}

// CaughtUp reports whether Next has nothing more to deliver at this moment.
func (s *Subscription) CaughtUp() bool { return s.pos >= s.log.head.Load() }

// Ready returns a channel that is closed when Next may have more.
func (s *Subscription) Ready() <-chan struct{} {
	select {
	case <-s.ready:
		s.ready = nil
	default: // not yet, or it is the first time
	}
	if s.ready == nil {
		s.ready = s.log.readers.wait()
	}
	if !s.CaughtUp() {
		return closed
	}
	return s.ready
}

var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Next returns the frames of the next deliveries and moves on behind them, or none when the
// subscription has caught up. It never waits. It fails with a [*BehindError] when the reader has
// fallen out of the log, and with a [*GapError] when it has come to a gap, also in what its filter leaves out.
func (s *Subscription) Next() (Run, error) {
	run, err := s.next()
	if s.log.pace != nil {
		s.log.pace.reached(s.pos)
	}
	return run, err
}

func (s *Subscription) next() (Run, error) {
	for {
		head := s.log.head.Load()
		if err := s.keepUp(); err != nil {
			return Run{}, err
		}
		if s.pos >= head {
			return Run{}, nil
		}
		segment := s.log.dir.Load().find(s.pos)
		if segment == nil {
			continue // evicted this very moment: keepUp says so
		}
		if run, err := s.nextOf(segment, min(head, segment.end())); err != nil || !run.Empty() {
			return run, err
		}
	}
}

// keepUp checks that the position is retained. What the snapshot's phase has not reached may leave.
func (s *Subscription) keepUp() error {
	low, last := s.log.low.Load(), s.log.last.Load()
	switch {
	case s.Existing() && s.snapshot >= last:
		if s.pos < low {
			s.skipTo(min(low, s.snapshot))
		}
		return nil
	case s.pos >= last:
		return nil
	}
	return s.log.behind(s.vector)
}

// nextOf delivers from one segment, up to end: skips what is not for the reader, then takes what
// is, as far as it lies together.
func (s *Subscription) nextOf(segment *segment, end uint64) (Run, error) {
	existing := s.Existing()
	if existing {
		end = min(end, s.snapshot)
	}
	for ; s.pos < end; s.pass(segment) {
		e := segment.placed(s.pos)
		if s.isGap(e.entry) {
			return Run{}, s.gap(segment, end)
		}
		if s.wants(e) {
			break
		}
	}
	if s.pos == end {
		return Run{}, nil
	}
	if s.resume != nil && !segment.vectorAt(s.pos).Covers(s.resume) {
		return s.private(segment), nil
	}
	s.resume = nil // from here on the shared frames serve
	view := s.live
	if existing {
		view = s.existing
	}
	from := s.pos
	for bytes := 0; s.pos < end && bytes < maxRunBytes; s.pass(segment) {
		e := segment.placed(s.pos)
		if s.isGap(e.entry) {
			break
		}
		if e.kind != kindRecord || !s.filter.Matches(e.label) {
			continue // it has an empty frame
		}
		if !s.wants(e) {
			break
		}
		bytes += int(e.size)
	}
	return view.run(s.log, segment, s.filter, int(from-segment.base), int(s.pos-segment.base)), nil
}

// isGap reports whether the entry at the position is a gap that this reader is to be told of. One among the existing
// records is none: what is lost is no latest state.
func (s *Subscription) isGap(e *entry) bool {
	return e.kind == kindGap && s.pos >= s.snapshot && (s.resume == nil || !e.behind(s.resume))
}

// gap moves on behind the gap at the position, and those that follow at once, and returns the error that tells of
// them.
func (s *Subscription) gap(segment *segment, end uint64) *GapError {
	err := &GapError{At: s.vector.Clone()}
	for ; s.pos < end; s.pass(segment) {
		e := segment.at(s.pos)
		if s.isGap(e) {
			from := max(e.offset.Load(), s.vector.At(e.partition))
			err.Gaps = append(err.Gaps, Gap{e.partition, from, e.after()})
		} else if e.kind != kindMark {
			break
		}
	}
	err.Next = s.vector.Clone()
	return err
}

// wants reports whether an entry is delivered to this reader.
func (s *Subscription) wants(e placed) bool {
	switch {
	case e.kind != kindRecord || !s.filter.Matches(e.label):
		return false
	case s.pos < s.snapshot:
		return s.log.latestAsOf(e, s.snapshotAt)
	case s.resume != nil:
		return !e.before(s.resume)
	}
	return true
}

// pass moves on behind the entry at the position.
func (s *Subscription) pass(segment *segment) {
	e := segment.at(s.pos)
	s.vector = s.vector.advance(e.partition, e.after())
	s.pos++
}

// skipTo moves on to pos without delivering.
func (s *Subscription) skipTo(pos uint64) {
	s.pos = pos
	if at, ok := s.log.at(pos); ok {
		s.vector = at
	}
}

// private renders one frame for this reader alone, with a cursor of its own: the shared one would
// stand before the cursor that the reader came with.
func (s *Subscription) private(segment *segment) Run {
	e := segment.placed(s.pos)
	s.pass(segment)
	frame := s.own(nil, e.public(), s.vector)
	return Run{bytes: frame, ends: []uint32{uint32(len(frame))}}
}

// newestMatching returns the position from which limit latest states are left to deliver.
func (s *Subscription) newestMatching(limit int) uint64 {
	for e := range s.log.backward(s.snapshot) {
		if e.kind == kindRecord && s.filter.Matches(e.label) && s.log.latestAsOf(e, s.snapshotAt) {
			limit--
		}
		if limit == 0 {
			return e.pos
		}
	}
	return s.pos
}

// firstBehind returns the first position, from the given one up to head, that a cursor does not cover.
func (d directory) firstBehind(cursor Vector, from, head uint64) uint64 {
	for i, segment := range d {
		// A segment behind head holds marks alone, and its start is not final.
		if i+1 < len(d) && d[i+1].base <= head && cursor.Covers(d[i+1].start) {
			continue
		}
		for pos := max(from, segment.base); pos < min(head, segment.end()); pos++ {
			if e := segment.at(pos); e.kind != kindMark && !e.behind(cursor) {
				return pos
			}
		}
	}
	return head
}
