package inprocess

import (
	"encoding/json"
	"fmt"

	"paystream/bench/sample"
	"paystream/payment"
)

// arenaBytes is how much is encoded before its memory is used again; the consumer does so fetch by fetch.
const arenaBytes = 64 << 10

// decode makes the encoding of a Payment of every record, as the consumer does.
func decode(payments sample.Payments) error {
	var arena []byte
	for _, p := range payments {
		if len(arena) >= arenaBytes {
			arena = arena[:0]
		}
		var got payment.Encoded
		var err error
		if arena, got, err = (payment.Decoder{}).Append(arena, p.Value, 1); err != nil {
			return err
		}
		if id := arena[got.ID[0]:got.ID[1]]; string(id) != p.Key {
			return fmt.Errorf("payment %s is taken for %s", p.Key, id)
		}
	}
	return nil
}

// record is what a service would decode with encoding/json, before it checks anything;
// nothing of what the record says is lost.
type record struct {
	ID        string                     `json:"id"`
	Provider  string                     `json:"provider"`
	Amount    json.RawMessage            `json:"amount"` // a number, or a string holding one
	Currency  string                     `json:"currency"`
	Status    string                     `json:"status"`
	Email     string                     `json:"customer_email"`
	Metadata  map[string]json.RawMessage `json:"metadata"` // scalars, or more
	Timestamp json.RawMessage            `json:"timestamp"`
}

func unmarshal(payments sample.Payments) error {
	for _, p := range payments {
		var r record
		if err := json.Unmarshal(p.Value, &r); err != nil {
			return err
		}
		if r.ID != p.Key {
			return fmt.Errorf("payment %s is taken for %s", p.Key, r.ID)
		}
	}
	return nil
}
