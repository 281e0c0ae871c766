package broadcast

import (
	"context"
	"sync/atomic"
)

// pace is how far the reader that is farthest has come.
type pace struct {
	farthest atomic.Uint64
	moved    waiters // for farthest to move
}

// NewPaced returns a log whose appender has more at hand than the log keeps, and waits for readers with
// [Log.WaitForReader].
func NewPaced(limits Limits) *Log {
	l := New(limits)
	l.pace = &pace{}
	return l
}

// WaitForReader waits until the subscription that is farthest has come so near to the head that at most so many
// bytes of keys and values are in between. It is the appender's, and of a log that is paced. The others are
// not waited for.
func (l *Log) WaitForReader(ctx context.Context, bytes int) error {
	for {
		moved := l.pace.moved.wait()
		if l.unread(l.pace.farthest.Load()) <= bytes {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
		}
	}
}

// unread returns how many bytes of text lie behind a position.
func (l *Log) unread(pos uint64) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	bytes := 0
	for _, s := range *l.dir.Load() {
		if s.base >= pos {
			bytes += s.bytes
			continue
		}
		for ; pos < s.end(); pos++ {
			bytes += s.at(pos).weight()
		}
	}
	return bytes
}

// reached says that a reader has come to a position.
func (p *pace) reached(pos uint64) {
	for old := p.farthest.Load(); old < pos; old = p.farthest.Load() {
		if p.farthest.CompareAndSwap(old, pos) {
			p.moved.take().wake()
			return
		}
	}
}
