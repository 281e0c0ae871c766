package producer

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"time"

	"paystream/payment"
)

// Sampler makes records of payments as a shop's day might bring them: different providers, each
// with its own way of writing statuses, amounts and times. The same seed gives the same records.
// It is not safe for concurrent use.
type Sampler struct {
	rng   *rand.Rand
	units payment.Units
	bad   int
}

// NewSampler returns a Sampler whose amounts are meant in those units. What is written for Auto
// reads the same as Major: it never is a whole number that Auto would divide.
func NewSampler(seed uint64, units payment.Units) *Sampler {
	return &Sampler{rng: rand.New(rand.NewPCG(seed, 0)), units: units}
}

// Next returns a payment made at that time, each time another one, in whatever state.
func (s *Sampler) Next(at time.Time) Record {
	return s.sample(at).in(s.anyState(), at)
}

// Bad returns a record that is no payment, each time for another reason.
func (s *Sampler) Bad(at time.Time) Record {
	record := s.Next(at)
	good := record.Value
	replace := func(field, value string) []byte {
		var fields map[string]json.RawMessage
		_ = json.Unmarshal(good, &fields) // it has just been marshaled
		fields[field] = json.RawMessage(value)
		return marshal(fields)
	}
	kinds := []func() []byte{
		func() []byte { return good[:len(good)/2] },
		func() []byte { return replace("id", `""`) },
		func() []byte { return replace("amount", `-1`) },
		func() []byte { return replace("amount", `"a lot"`) },
		func() []byte { return replace("currency", `"dollars"`) },
		func() []byte { return append(append([]byte{'['}, good...), ']') },
		func() []byte { return append([]byte{0xff}, good...) },
	}
	s.bad++
	record.Value = kinds[(s.bad-1)%len(kinds)]()
	return record
}

// state is how far a payment has come.
type state int

const (
	pending state = iota
	completed
	failed
	refunded
)

// anyState is the state that a payment of the day is found in.
func (s *Sampler) anyState() state {
	switch n := s.rng.IntN(100); {
	case n < 72:
		return completed
	case n < 86:
		return pending
	case n < 95:
		return failed
	}
	return refunded
}

// sample is one payment, in all its states.
type sample struct {
	record  record
	from    provider
	failure string // why it fails, if it does
	refund  string // why it is refunded, if it is
}

// record is a payment as it stands on Kafka.
type record struct {
	ID        string         `json:"id"`
	Provider  string         `json:"provider"`
	Amount    any            `json:"amount"`
	Currency  string         `json:"currency"`
	Status    string         `json:"status"`
	Email     string         `json:"customer_email"`
	Metadata  map[string]any `json:"metadata"`
	Timestamp any            `json:"timestamp"`
}

// sample begins a payment at that time.
func (s *Sampler) sample(at time.Time) *sample {
	from := pick(s, providers)
	cur := pick(s, from.currencies)
	method := s.method(from, cur)
	return &sample{
		record: record{
			ID:        s.id(),
			Provider:  from.name,
			Amount:    from.amount(s.amount(cur)),
			Currency:  cur.code,
			Email:     s.email(),
			Metadata:  s.metadata(method, cur),
			Timestamp: from.time(at),
		},
		from:    from,
		failure: s.failure(method),
		refund:  pick(s, refunds),
	}
}

// in returns the payment's record of a state that it came into at that time.
func (p *sample) in(st state, at time.Time) Record {
	r := p.record
	r.Status = p.from.statuses[st]
	switch st {
	case failed:
		r.Metadata = with(r.Metadata, "failure_reason", p.failure)
	case refunded:
		r.Metadata = with(r.Metadata, "refund_reason", p.refund)
	case pending, completed:
	}
	return Record{Key: r.ID, Value: marshal(r), Time: at}
}

func with(metadata map[string]any, name string, value any) map[string]any {
	more := maps.Clone(metadata)
	more[name] = value
	return more
}

// marshal is for what can always be marshaled.
func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
