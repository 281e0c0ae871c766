package producer

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
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

// Next returns a payment made at that time.
func (s *Sampler) Next(at time.Time) Record {
	id := s.id()
	return Record{Key: id, Value: s.payment(id, at)}
}

// Bad returns a record that is no payment, each time for another reason.
func (s *Sampler) Bad(at time.Time) Record {
	id := s.id()
	good := s.payment(id, at)
	replace := func(field, value string) []byte {
		var fields map[string]json.RawMessage
		_ = json.Unmarshal(good, &fields) // payment has just marshaled it
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
	return Record{Key: id, Value: kinds[(s.bad-1)%len(kinds)]()}
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

func (s *Sampler) payment(id string, at time.Time) []byte {
	r := record{ID: id, Email: s.email(), Metadata: s.metadata()}
	state := s.state()
	var cur currency
	switch s.rng.IntN(10) {
	case 0, 1, 2, 3, 4:
		cur = s.currency("USD", "USD", "USD", "EUR", "GBP", "JPY", "KWD")
		r.Provider, r.Timestamp = "stripe", at.Unix()
		r.Status = [...]string{"processing", "succeeded", "failed", "refunded"}[state]
		r.Amount = json.Number(s.amount(cur))
	case 5, 6:
		cur = s.currency("INR", "INR", "INR", "USD")
		r.Provider, r.Timestamp = "Razorpay", at.UnixMilli()
		r.Status = [...]string{"pending", "paid", "failed", "refunded"}[state]
		r.Amount = s.amount(cur)
	default:
		cur = s.currency("USD", "USD", "EUR", "GBP", "AUD")
		r.Provider, r.Timestamp = "PAYPAL", at.UTC().Format(time.RFC3339)
		r.Status = [...]string{"PENDING", "COMPLETED", "DECLINED", "REFUNDED"}[state]
		r.Amount = s.amount(cur)
	}
	r.Currency = cur.code
	return marshal(r)
}

// state is 0 pending, 1 completed, 2 failed, 3 refunded.
func (s *Sampler) state() int {
	switch n := s.rng.IntN(100); {
	case n < 70:
		return 1
	case n < 84:
		return 0
	case n < 94:
		return 2
	}
	return 3
}

// currency is one in which a sample may be: its minor unit's digits, and about what most payments
// are below, in major units.
type currency struct {
	code    string
	digits  int
	typical int64
}

func (s *Sampler) currency(codes ...string) currency {
	switch code := codes[s.rng.IntN(len(codes))]; code {
	case "INR":
		return currency{code, 2, 9000}
	case "JPY":
		return currency{code, 0, 20000}
	case "KWD":
		return currency{code, 3, 40}
	default:
		return currency{code, 2, 250}
	}
}

// amount is a price as shops make them: most end in .00, .50 or .99.
func (s *Sampler) amount(cur currency) string {
	unit := int64(1)
	for range cur.digits {
		unit *= 10
	}
	major := 1 + s.rng.Int64N(cur.typical)
	if s.rng.IntN(20) == 0 {
		major *= 10
	}
	minor := major * unit
	switch s.rng.IntN(4) {
	case 0:
		minor += unit / 2
	case 1:
		minor += s.rng.Int64N(unit)
	case 2:
		minor -= unit / 100
	}
	if minor%unit == 0 && minor >= 100*unit && cur.digits == 2 {
		minor-- // Auto would take 150.00 for cents; 149.99 it can't
	}
	if s.units == payment.Minor {
		return strconv.FormatInt(minor, 10)
	}
	if cur.digits == 0 {
		return strconv.FormatInt(minor, 10)
	}
	return fmt.Sprintf("%d.%0*d", minor/unit, cur.digits, minor%unit)
}

func (s *Sampler) id() string {
	const letters = "0123456789abcdefghjkmnpqrstvwxyz" // none that look alike
	id := []byte("pay_................")
	for i := range 16 {
		id[4+i] = letters[s.rng.IntN(len(letters))]
	}
	return string(id)
}

func (s *Sampler) email() string {
	first := [...]string{"ada", "alan", "barbara", "claude", "dennis", "edsger", "frances", "grace", "hedy", "ken", "leslie", "margaret", "niklaus", "radia", "tony"}
	last := [...]string{"allen", "hamilton", "hoare", "hopper", "lamarr", "lamport", "liskov", "lovelace", "perlman", "ritchie", "shannon", "thompson", "turing", "wirth"}
	return fmt.Sprintf("%s.%s%d@example.com", first[s.rng.IntN(len(first))], last[s.rng.IntN(len(last))], s.rng.IntN(100))
}

func (s *Sampler) metadata() map[string]any {
	m := map[string]any{
		"order_id": "ord_" + strings.ToUpper(strconv.FormatUint(uint64(s.rng.Uint32()), 36)),
		"items":    1 + s.rng.IntN(5),
	}
	if s.rng.IntN(3) == 0 {
		m["gift"] = true
	}
	if s.rng.IntN(4) == 0 {
		m["shipping"] = map[string]any{"city": [...]string{"Berlin", "Boston", "Kyōto", "Pune"}[s.rng.IntN(4)], "express": s.rng.IntN(2) == 0}
	}
	return m
}

// marshal is for what can always be marshaled.
func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
