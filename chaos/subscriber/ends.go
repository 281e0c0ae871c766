package subscriber

import (
	"errors"
	"maps"
	"time"

	"connectrpc.com/connect"

	"paystream/internal/clienttest"
)

// after decides what follows the end of a stream: where to go on, and how soon.
func (s *Subscriber) after(err error) time.Duration {
	s.at = (s.at + s.step) % len(s.gateways)
	switch {
	case errors.Is(err, errLeft):
		s.count("left")
		return s.between(0, 4*time.Second)
	case errors.Is(err, errMoves):
		s.count("moved")
		s.at = s.home
		return 0
	case errors.Is(err, errSleeps):
		s.count("slept")
		return 0
	case errors.Is(err, errSilent):
		s.count("silent")
		return s.backoff()
	}
	ended, ok := errors.AsType[*clienttest.EndedError](err)
	if !ok {
		s.count("broken")
		return s.backoff()
	}
	return s.told(ended)
}

// told follows what a gateway has said.
func (s *Subscriber) told(end *clienttest.EndedError) time.Duration {
	if cursor := end.End.GetCursor(); cursor != "" {
		s.cursor = cursor
	}
	switch end.Code {
	case connect.CodeOutOfRange, connect.CodeDataLoss:
		s.count("gap")
		for _, g := range end.End.GetGaps() {
			s.Track.Told(g.GetPartition(), g.GetFrom(), g.GetTo())
		}
		if oldest := end.End.GetOldestCursor(); end.Code == connect.CodeOutOfRange && oldest != "" {
			s.cursor = oldest
		}
		return s.backoff()
	case connect.CodeUnavailable, connect.CodeResourceExhausted, connect.CodeCanceled, connect.CodeUnknown, connect.CodeInternal,
		connect.CodeDeadlineExceeded:
		if end.End != nil {
			s.count("drained")
			return end.Delay // so that not all come at once
		}
		s.count(end.Code.String())
		return s.backoff()
	case connect.CodeFailedPrecondition:
		s.count("another topic")
		if s.cursor == "" { // it has none that could be
			s.judge.Refuse(s.Track.Name(), end.Error())
			return longWait
		}
		s.Track.OtherTopic(end.Error())
		s.cursor = ""
		return s.backoff()
	default:
		s.count("refused")
		s.judge.Refuse(s.Track.Name(), end.Error())
		return longWait
	}
}

// backoff is the pause after a failure, half of it random.
func (s *Subscriber) backoff() time.Duration {
	pause := min(longWait, firstWait<<min(s.failures, 10))
	s.failures++
	return pause/2 + s.between(0, pause/2)
}

func (s *Subscriber) between(from, to time.Duration) time.Duration {
	return from + time.Duration(s.rng.Int64N(int64(to-from)))
}

// Ends are how streams ended, counted.
func (s *Subscriber) Ends() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.ends)
}

func (s *Subscriber) count(end string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends[end]++
}
