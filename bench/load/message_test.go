package load

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"paystream/bench/sample"
	paymentpb "paystream/gen/payment"
)

// events returns the first n payments as events of a topic.
func events(t *testing.T, topic sample.Topic, n int) []*paymentpb.PaymentEvent {
	t.Helper()
	payments := sample.Generate(n)
	list := make([]*paymentpb.PaymentEvent, n)
	for i := range list {
		var err error
		if list[i], err = topic.Event(payments, i, sample.Existing); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

var topic = sample.Topic{Name: "payments.test", Partitions: 3, Base: 1_790_000_000_000, Step: 1}

// confusing is an event whose payment holds what looks like the event's own fields.
func confusing() *paymentpb.PaymentEvent {
	return &paymentpb.PaymentEvent{
		Payment: &paymentpb.Payment{Id: "p", Metadata: map[string]string{
			"partition": "9", "offset": "99", `"partition":8,"offset":"88"`: `"partition":7,"offset":"77"`,
		}},
		Partition: 1, Offset: 5, Cursor: "c",
	}
}

func TestPlaceIsFound(t *testing.T) {
	t.Parallel()
	for i, event := range append(events(t, topic, 300), confusing()) {
		encoded, err := proto.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		p, err := placeInProto(encoded)
		if err != nil || p.partition != event.GetPartition() || p.offset != event.GetOffset() {
			t.Fatalf("event %d: %+v, %v; it is of partition %d, offset %d", i, p, err, event.GetPartition(), event.GetOffset())
		}
		payment := &paymentpb.Payment{}
		if err := proto.Unmarshal(p.payment, payment); err != nil || !proto.Equal(payment, event.GetPayment()) {
			t.Fatalf("event %d: its payment is not found", i)
		}
		text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := placeInJSON(text); err != nil || p.partition != event.GetPartition() || p.offset != event.GetOffset() {
			t.Fatalf("event %d: %+v, %v; in JSON it is %s", i, p, err, text)
		}
	}
}

func TestNoEventIsNoPlace(t *testing.T) {
	t.Parallel()
	heartbeat, err := proto.Marshal(&paymentpb.PaymentEvent{EventType: "heartbeat", Topic: "t"})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"empty": nil, "cut": {0x0a, 0x05, 'p'}, "odd": {0xff}, "heartbeat": heartbeat, "fixed": {0x0d, 1, 2, 3, 4}} {
		if p, err := placeInProto(b); !errors.Is(err, errNoEvent) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	for _, text := range []string{"", "{}", `{"partition":1}`, `{"offset":"1"}`, `{"partition":,"offset":"1"}`, `{"partition":1,"offset":"1`} {
		if p, err := placeInJSON([]byte(text)); !errors.Is(err, errNoEvent) {
			t.Errorf("%s: %+v, %v", text, p, err)
		}
	}
}

// sums returns the checksum of messages in this order.
func (s Sum) of(t *testing.T, list ...*paymentpb.PaymentEvent) uint64 {
	t.Helper()
	var sum uint64
	for _, event := range list {
		b, err := proto.MarshalOptions{Deterministic: s != SumFields}.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		p, err := placeInProto(b)
		if err != nil {
			t.Fatal(err)
		}
		sum = s.add(sum, b, p)
	}
	return sum
}

func TestSumsTellMessagesApart(t *testing.T) {
	t.Parallel()
	list := events(t, topic, 3)
	a, b := list[0], list[1]
	for _, s := range []Sum{SumAll, SumPayment, SumFields} {
		sum := s.of(t, a, b)
		for range 20 { // Go's maps come in another order each time
			if s.of(t, a, b) != sum {
				t.Fatalf("%s: the same messages have different sums", s)
			}
		}
		altered := proto.CloneOf(b)
		altered.Payment.CustomerEmail += "x"
		entry := proto.CloneOf(b)
		for name := range entry.GetPayment().GetMetadata() {
			entry.Payment.Metadata[name] += "x"
			break
		}
		moved := proto.CloneOf(b)
		moved.Offset++
		for name, other := range map[string]uint64{
			"reordered": s.of(t, b, a), "doubled": s.of(t, a, b, b), "dropped": s.of(t, a),
			"altered": s.of(t, a, altered), "another entry": s.of(t, a, entry), "another offset": s.of(t, a, moved),
		} {
			if other == sum {
				t.Errorf("%s: %s messages have the same sum", s, name)
			}
		}
	}
	later := proto.CloneOf(b)
	later.Cursor, later.EventType = "another", sample.New
	for s, same := range map[Sum]bool{SumAll: false, SumPayment: true, SumFields: true} {
		if (s.of(t, a, b) == s.of(t, a, later)) != same {
			t.Errorf("%s: another cursor gives the same sum: %t", s, !same)
		}
	}
}

func TestTakingAnEventAllocatesNothing(t *testing.T) {
	list := events(t, topic, 3)
	text, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(list[0])
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := proto.Marshal(list[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		sum     Sum
		message []byte
		place   func([]byte) (place, error)
	}{{SumAll, encoded, placeInProto}, {SumPayment, encoded, placeInProto}, {SumFields, encoded, placeInProto}, {SumAll, text, placeInJSON}} {
		s := &subscriber{group: &Group{Provider: 1}, place: c.place, sum: c.sum, want: -1, partitions: make([]received, 3)}
		n := testing.AllocsPerRun(100, func() {
			s.partitions[0].next = 0
			if err := s.event(c.message); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations an event", c.sum, n)
		}
	}
}
