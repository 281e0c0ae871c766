package load

import (
	"fmt"
	"time"
)

// subscriber is one stream, as its client sees it. It belongs to the goroutine that reads its
// connection, until that has ended.
type subscriber struct {
	number int
	group  *Group
	topic  int // partitions
	place  func([]byte) (place, error)
	sum    Sum
	done   func() // called once, with the last event expected

	want       int // events; -1 is not known
	events     int
	bytes      int64
	partitions []received

	kept *kept   // of the first of each group
	came []int64 // Unix nanoseconds, by the payment's number, where latencies are wanted
	now  int64
}

// received is what has come of one partition.
type received struct {
	next int64 // the least offset that may come
	sum  uint64
}

// kept is messages, one behind the other.
type kept struct {
	bytes []byte
	ends  []int
}

// newKept has room for so many messages: to copy them when it grows would hold up the other subscribers.
func newKept(messages int) *kept {
	const size = 400 // or more, in JSON: then it grows once
	return &kept{bytes: make([]byte, 0, messages*size), ends: make([]int, 0, messages)}
}

func (k *kept) add(message []byte) {
	k.bytes = append(k.bytes, message...)
	k.ends = append(k.ends, len(k.bytes))
}

// event takes a message. It allocates nothing, but where the message is kept.
func (s *subscriber) event(message []byte) error {
	p, err := s.place(message)
	if err != nil {
		return fmt.Errorf("subscriber %d: event %d: %w: %.200q", s.number, s.events, err, message)
	}
	if p.partition < 0 || int(p.partition) >= len(s.partitions) {
		return fmt.Errorf("subscriber %d: event %d is of partition %d", s.number, s.events, p.partition)
	}
	r := &s.partitions[p.partition]
	if p.offset < r.next || (s.group.all() && p.offset > r.next) {
		return fmt.Errorf("subscriber %d: event %d of partition %d has offset %d, the next is %d",
			s.number, s.events, p.partition, p.offset, r.next)
	}
	r.next = p.offset + 1
	r.sum = s.sum.add(r.sum, message, p)
	s.events++
	s.bytes += int64(len(message))
	if s.kept != nil {
		s.kept.add(message)
	}
	if s.came != nil {
		if i := int(p.offset)*s.topic + int(p.partition) - s.group.From; i >= 0 && i < len(s.came) {
			s.came[i] = s.now
		}
	}
	switch {
	case s.want < 0 || s.events < s.want:
	case s.events == s.want:
		s.done()
	default:
		return fmt.Errorf("subscriber %d: an event more than the %d expected: partition %d, offset %d", s.number, s.want, p.partition, p.offset)
	}
	return nil
}

// arrived says that bytes have come just now.
func (s *subscriber) arrived() {
	if s.came != nil {
		s.now = time.Now().UnixNano()
	}
}

// all reports whether a group gets every payment from From on.
func (g *Group) all() bool { return g.Provider == 0 && g.Status == 0 }
