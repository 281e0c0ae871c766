package subscriber

import "context"

// Sleep lets the subscriber go, until Wake: it keeps its cursor and nothing else.
func (s *Subscriber) Sleep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sleep {
		return
	}
	s.sleep, s.awake = true, make(chan struct{})
	if s.stop != nil {
		s.stop(errSleeps)
	}
}

// Wake ends a sleep.
func (s *Subscriber) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sleep {
		s.sleep = false
		close(s.awake)
	}
}

// GoHome has the subscriber go to the gateway that it began with, if it is at another: breaks and drains
// gather all at few.
func (s *Subscriber) GoHome() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil && s.where != s.home {
		s.stop(errMoves)
	}
}

// hold keeps what ends the present stream.
func (s *Subscriber) hold(stop func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stop = stop
	if s.sleep {
		stop(errSleeps)
	}
}

// await returns when the subscriber is awake.
func (s *Subscriber) await(ctx context.Context) {
	s.mu.Lock()
	asleep, awake := s.sleep, s.awake
	s.mu.Unlock()
	if !asleep {
		return
	}
	select {
	case <-awake:
	case <-ctx.Done():
	}
}
