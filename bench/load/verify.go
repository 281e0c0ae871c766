package load

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"paystream/bench/sample"
	paymentpb "paystream/gen/payment"
)

// expectation is what a group gets, by partition.
type expectation struct {
	numbers [][]int
	total   int
}

// expectations returns what each group gets.
func expectations(job Job, payments sample.Payments) ([]expectation, error) {
	all := make([]expectation, len(job.Groups))
	from, to := job.Groups[0].From, job.Groups[0].To
	filtered := false
	for g, group := range job.Groups {
		if group.To > len(payments) {
			return nil, fmt.Errorf("payments up to %d are expected, there are %d", group.To, len(payments))
		}
		all[g].numbers = make([][]int, job.Topic.Partitions)
		from, to = min(from, group.From), max(to, group.To)
		filtered = filtered || !group.all()
	}
	for i := from; i < to; i++ {
		var p *paymentpb.Payment
		if filtered {
			var err error
			if p, err = payments[i].Decode(job.Topic.Millis(i)); err != nil {
				return nil, err
			}
		}
		for g, group := range job.Groups {
			if i >= group.From && i < group.To && (group.all() || group.selects(p)) {
				partition := job.Topic.Partition(i)
				all[g].numbers[partition] = append(all[g].numbers[partition], i)
				all[g].total++
			}
		}
	}
	return all, nil
}

// verify checks what all subscribers have got. Their connections are closed.
func (r *run) verify(payments sample.Payments, want []expectation) error {
	for g := range r.job.Groups {
		group := &r.job.Groups[g]
		if group.Stalled || group.Subscribers == 0 || want[g].total == 0 {
			continue
		}
		var first *subscriber
		for _, s := range r.subscribers {
			switch {
			case s.group != group:
			case first == nil:
				first = s
				if err := r.verifyKept(s, payments, want[g]); err != nil {
					return fmt.Errorf("subscriber %d: %w", s.number, err)
				}
			default:
				if err := s.same(first); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// same checks that a subscriber has got what the first of its group has.
func (s *subscriber) same(first *subscriber) error {
	if s.events != first.events {
		return fmt.Errorf("subscriber %d got %d events, subscriber %d got %d", s.number, s.events, first.number, first.events)
	}
	for p := range s.partitions {
		if s.partitions[p] != first.partitions[p] {
			return fmt.Errorf("subscriber %d got something else of partition %d than subscriber %d: up to offset %d with checksum %x, and up to %d with %x",
				s.number, p, first.number, s.partitions[p].next, s.partitions[p].sum, first.partitions[p].next, first.partitions[p].sum)
		}
	}
	return nil
}

// verifyKept decodes all that a subscriber has kept and compares it with what it should have got.
func (r *run) verifyKept(s *subscriber, payments sample.Payments, want expectation) error {
	if s.events != want.total || len(s.kept.ends) != s.events {
		return fmt.Errorf("got %d events and kept %d, %d are expected", s.events, len(s.kept.ends), want.total)
	}
	next := make([]int, len(want.numbers))
	sums := make([]uint64, len(want.numbers))
	from, cursor := 0, ""
	for i, end := range s.kept.ends {
		message := s.kept.bytes[from:end]
		from = end
		got, err := r.job.Protocol.decode(message)
		if err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
		p := got.GetPartition()
		if p < 0 || int(p) >= len(next) || next[p] == len(want.numbers[p]) {
			return fmt.Errorf("event %d is of partition %d, of which no more is expected", i, p)
		}
		number := want.numbers[p][next[p]]
		next[p]++
		if got.GetCursor() == "" || got.GetCursor() == cursor {
			return fmt.Errorf("event %d has the cursor %q, the one before %q", i, got.GetCursor(), cursor)
		}
		cursor = got.GetCursor()
		if err := r.compare(got, payments, number, s.group); err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
		at, err := s.place(message)
		if err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
		sums[p] = s.sum.add(sums[p], message, at)
	}
	for p, sum := range sums {
		if s.partitions[p].sum != sum {
			return fmt.Errorf("the checksum of partition %d is %x, of what was kept %x", p, s.partitions[p].sum, sum)
		}
	}
	return nil
}

// compare compares an event with the one of that number. Cursors are the server's own.
func (r *run) compare(got *paymentpb.PaymentEvent, payments sample.Payments, number int, g *Group) error {
	eventType := sample.New
	if number < g.Existing || got.GetEventType() == sample.Existing && !g.NewOnly && g.Existing > 0 {
		eventType = sample.Existing
	}
	want, err := r.job.Topic.Event(payments, number, eventType)
	if err != nil {
		return err
	}
	want.Cursor = got.GetCursor()
	if !proto.Equal(got, want) {
		return fmt.Errorf("it is\n%v\nand not payment %d\n%v", got, number, want)
	}
	return nil
}

func (p Protocol) decode(message []byte) (*paymentpb.PaymentEvent, error) {
	event := &paymentpb.PaymentEvent{}
	switch p {
	case SSE:
		data, ok := dataOf(message)
		if !ok {
			return nil, errNoEvent
		}
		return event, protojson.Unmarshal(data, event)
	case NDJSON, ConnectJSON:
		return event, protojson.Unmarshal(message, event)
	case GRPC, GRPCWeb, TCP:
		return event, proto.Unmarshal(message, event)
	}
	return nil, errors.New("there is no such protocol")
}
