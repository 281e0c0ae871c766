package server

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"paystream/server/h2direct"
)

// stalls closes streams whose clients take nothing for too long. It looks at all of them now and then,
// which costs a write two stores. A deadline for each write costs more than the write itself: on
// HTTP/2 to set it and to lift it takes a turn of the connection's loop each.
type stalls struct {
	timeout time.Duration // 0 is never
	looks   atomic.Int64  // at all streams, so far; at least 1

	mu      sync.Mutex
	streams map[*writing]struct{}
	look    *time.Timer
}

// looksPerTimeout is how many looks a write may last.
const looksPerTimeout = 8

// writing says since when a stream has been writing. It belongs to the stream's goroutine. Before a
// stream is watched it is nil: its request's deadlines hold.
type writing struct {
	control *http.ResponseController
	looks   *atomic.Int64
	stream  atomic.Pointer[h2direct.Stream] // nil where there is none
	since   atomic.Int64                    // how many looks there had been; 0 while nothing is being written
}

// begin says that a piece is being written; it counts as taken when the next begins, or with end.
func (w *writing) begin() {
	if w != nil {
		w.since.Store(w.looks.Load())
	}
}

func (w *writing) end() {
	if w != nil {
		w.since.Store(0)
	}
}

func newStalls(timeout time.Duration) *stalls {
	s := &stalls{timeout: timeout, streams: make(map[*writing]struct{})}
	s.looks.Store(1)
	return s
}

// watch takes note of a stream that has just been asked for. Its request came under deadlines: left
// standing, they would end it.
func (s *stalls) watch(control *http.ResponseController) (*writing, error) {
	stream := &writing{control: control, looks: &s.looks}
	if err := stream.control.SetReadDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("lift read deadline: %w", err)
	}
	if s.timeout == 0 {
		return stream, nil
	}
	if err := stream.control.SetWriteDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("lift write deadline: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams[stream] = struct{}{}
	if len(s.streams) == 1 {
		s.look = time.AfterFunc(s.every(), s.closeStuck)
	}
	return stream, nil
}

// forget is called before the handler returns: the stream may not be touched after that. What net/http
// writes by itself at the end has a deadline of its own.
func (s *stalls) forget(stream *writing) {
	if s.timeout == 0 || stream == nil {
		return
	}
	s.mu.Lock()
	delete(s.streams, stream)
	if len(s.streams) == 0 {
		s.look.Stop()
	}
	s.mu.Unlock()
	_ = stream.control.SetWriteDeadline(time.Now().Add(s.timeout)) // fails only with the connection
}

// swap changes what the watched streams' controls lead to.
func (s *stalls) swap(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *stalls) every() time.Duration { return max(s.timeout/looksPerTimeout, time.Millisecond) }

// closeStuck makes the writes fail that have taken too long.
func (s *stalls) closeStuck() {
	s.mu.Lock()
	defer s.mu.Unlock()
	latest := time.Now().Add(-s.timeout)
	looks := s.looks.Add(1)
	for stream := range s.streams {
		if since := stream.since.Load(); since != 0 && looks-since > looksPerTimeout {
			stream.fail(latest)
		}
	}
	if len(s.streams) > 0 {
		s.look.Reset(s.every())
	}
}

// fail makes a write fail that has begun before latest. Where the whole connection is stuck, so does all
// that is to be written to it.
func (w *writing) fail(latest time.Time) {
	_ = w.control.SetWriteDeadline(latest) // fails only with the connection
	stream := w.stream.Load()
	if stream == nil {
		return
	}
	if since := stream.WritingSince(); !since.IsZero() && since.Before(latest) {
		stream.Break()
	}
}
