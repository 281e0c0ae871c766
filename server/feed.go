package server

import (
	"context"
	"errors"
	"time"

	"paystream/broadcast"
)

// History has what the log no longer holds.
type History interface {
	// Since returns where a reader stands who wants all that was published at t or later, under which leader epochs.
	Since(ctx context.Context, t time.Time) (broadcast.Vector, []int32, error)
	// Check returns what lies before a cursor, of leader epochs as [Source] has them, that Kafka has taken back: each
	// gap goes back from the cursor's offset to the one to go on from.
	Check(ctx context.Context, cursor broadcast.Vector, epochs []int32) ([]broadcast.Gap, error)
	// CheckTopic asks Kafka whether the topic is still the one of [Source].Fingerprint, and fails where it is not, or
	// where Kafka can not be asked.
	CheckTopic(ctx context.Context) error
	// Backfill asks for a log that goes on from a cursor, without waiting for it.
	Backfill(from broadcast.Vector) Backfill
}

// Backfill is one reader's claim to a part of the history.
type Backfill interface {
	// Ready returns a channel that is closed when there is a log.
	Ready() <-chan struct{}
	// Log returns the log, or nil before Ready.
	Log() *broadcast.Log
	// Over reports that the log is not filled any more. The reader, who is woken then, asks anew.
	Over() bool
	// Leave gives the claim up. It is called once.
	Leave()
}

// feed is what a stream reads: the log, or, as long as it stands before what the log holds, a backfill. It belongs to
// the stream's goroutine.
type feed struct {
	log    *broadcast.Log
	source Source
	views  *format
	filter broadcast.Filter
	drain  <-chan struct{} // closed when the server stops

	sub   *broadcast.Subscription // of the log, or of the backfill's; nil while that has none
	back  Backfill                // nil where sub is of the log
	at    broadcast.Vector        // where the stream stands while there is no sub
	claim                         // what it has begun with
}

// begin returns a feed that has not been read yet.
func (s *Server) begin(f *format, start beginning) (feed, error) {
	out := feed{log: s.log, source: s.source, views: f, filter: start.Filter, drain: s.drained, claim: start.claim}
	if out.cursor == nil {
		var err error
		out.sub, err = s.log.Subscribe(f.existing, f.live, start.Start)
		return out, err
	}
	out.at = out.cursor
	if out.open() {
		out.resume()
	}
	return out, nil
}

// resume goes on from where the stream stands, in the log or a backfill.
func (f *feed) resume() {
	at := f.at
	if f.sub = f.subscribe(f.log, at); f.sub == nil {
		f.goBack(at)
	}
}

// goBack asks for a backfill.
func (f *feed) goBack(at broadcast.Vector) {
	f.leave()
	f.sub, f.at, f.back = nil, at, f.source.Backfill(at)
}

// leave is called when the feed is read no more. It may be called again.
func (f *feed) leave() {
	if f.back != nil {
		f.back.Leave()
		f.back = nil
	}
}

// stop returns a channel that is closed when the server stops, or nil where Ready's is.
func (f *feed) stop() <-chan struct{} {
	if f.back == nil && f.open() {
		return nil
	}
	return f.drain
}

// Vector returns where the stream stands.
func (f *feed) Vector() broadcast.Vector {
	if f.sub == nil {
		return f.at.Clone()
	}
	return f.sub.Vector()
}

// CaughtUp reports whether Next has nothing to deliver at this moment.
func (f *feed) CaughtUp() bool {
	switch {
	case !f.open():
		return f.waits()
	case f.back == nil:
		return f.sub.CaughtUp()
	case f.sub == nil:
		return f.back.Log() == nil
	}
	return f.sub.CaughtUp() && !f.back.Over()
}

// Ready returns a channel that is closed when there may be something to do. Where it can, it goes on in the log.
func (f *feed) Ready() <-chan struct{} {
	if !f.open() {
		return f.retry()
	}
	if f.sub == nil {
		return f.back.Ready()
	}
	f.rejoin()
	ready := f.sub.Ready()
	if f.back != nil && f.back.Over() { // not before: ready may be from after all were woken for it
		return closed
	}
	return ready
}

var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Next returns what is to be sent next, if there is any. It fails with a [*broadcast.GapError] where records are lost.
func (f *feed) Next(ctx context.Context) (broadcast.Run, error) {
	f.hold(ctx, f.source, f.log)
	switch {
	case len(f.lost) > 0:
		return broadcast.Run{}, f.takenBack()
	case !f.open():
		return broadcast.Run{}, nil
	}
	if f.sub == nil && f.back == nil {
		f.resume()
	}
	if f.back != nil && !f.seated() {
		return broadcast.Run{}, nil
	}
	run, err := f.sub.Next()
	if behind := (*broadcast.BehindError)(nil); errors.As(err, &behind) {
		f.goBack(behind.At)
		return broadcast.Run{}, nil
	}
	f.rejoin()
	return run, err
}

// takenBack returns the error of a stream that has come with a cursor before which Kafka has taken something back.
func (f *feed) takenBack() error {
	at := f.Vector()
	next := at.Clone()
	for _, g := range f.lost {
		next[g.Partition] = g.To
	}
	return &broadcast.GapError{At: at, Next: next, Gaps: f.lost}
}

// seated reports whether there is a log to read. Where the backfill is over, the stream asks anew.
func (f *feed) seated() bool {
	switch {
	case f.back.Over():
		f.goBack(f.Vector())
		return false
	case f.sub != nil:
		return true
	}
	log := f.back.Log()
	if log == nil {
		return false
	}
	at := f.at
	if f.sub = f.subscribe(log, at); f.sub == nil { // it has moved on meanwhile
		f.goBack(at)
	}
	return f.sub != nil
}

// rejoin goes on in the log where that holds what follows, and will for a while: a stream that is slow and stands at
// its edge would fall out at once. One that has read all that its backfill has is not slow.
func (f *feed) rejoin() {
	if f.back == nil {
		return
	}
	edge := f.log.Inside
	if f.sub.CaughtUp() {
		edge = f.log.Oldest
	}
	if at := f.sub.Vector(); at.Covers(edge()) {
		if sub := f.subscribe(f.log, at); sub != nil {
			f.leave()
			f.sub = sub
		}
	}
}

// subscribe returns nil where the log does not hold what follows.
func (f *feed) subscribe(log *broadcast.Log, at broadcast.Vector) *broadcast.Subscription {
	start := broadcast.Start{Filter: f.filter, Cursor: at}
	if f.cursor != nil {
		start.Private = f.views.private(f.epochsOf(f.source))
	}
	sub, err := log.Subscribe(f.views.existing, f.views.live, start)
	if err != nil {
		return nil
	}
	return sub
}
