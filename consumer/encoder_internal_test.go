package consumer

import (
	"fmt"
	"strings"
	"testing"

	"paystream/broadcast"
	"paystream/payment"
)

// TestEncoderUsesItsMemoryAgain: what has been appended stays, what is encoded later is right, also where a payment
// takes more than its JSON and the arena has to move.
func TestEncoderUsesItsMemoryAgain(t *testing.T) {
	log := broadcast.New(broadcast.Limits{})
	log.Open(0, 0)
	e := &encoder{bad: func(_ int32, offset int64, why *payment.Rejection) { t.Errorf("offset %d: %v", offset, why) }}
	payments := func(from, n int64, more string) (records []record) {
		for offset := from; offset < from+n; offset++ {
			value := fmt.Sprintf(`{"id":"pay_%d","amount":1,"currency":"EUR"%s}`, offset, more)
			records = append(records, record{value: []byte(value), offset: offset})
		}
		return records
	}
	var some []broadcast.Record
	next := int64(0)
	for _, more := range []string{
		`,"customer_email":"ada@example.com"`, "", `,"metadata":{` + strings.Repeat(`"":1,`, 1000) + `"a":1}`, `,"metadata":{"b":2}`,
		`,"metadata":{` + manyMembers(500) + `}`, `,"customer_email":"` + strings.Repeat("x", keepArena/50) + `"`, "",
	} {
		some = e.encode(some[:0], 0, payments(next, 60, more))
		some = e.encode(some, 0, payments(next+60, 40, more))
		next += 100
		log.Append(broadcast.Batch{Records: some, Next: next})
		e.reuse(keepArena)
	}
	for offset := range next {
		id := fmt.Sprint("pay_", offset)
		got, ok := log.Get(id)
		if want := "\n" + string(rune(len(id))) + id; !ok || got.Offset != offset || !strings.HasPrefix(got.Value, want) {
			t.Fatalf("%s: %v %.80q", id, ok, got.Value)
		}
	}
	if cap(e.arena) > keepArena {
		t.Errorf("an arena of %d bytes is kept", cap(e.arena))
	}
}

func manyMembers(n int) string {
	members := make([]string, n)
	for i := range members {
		members[i] = fmt.Sprintf(`"%03d":1`, i)
	}
	return strings.Join(members, ",")
}
