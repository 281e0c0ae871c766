package inprocess

import (
	"encoding/json"
	"fmt"

	"paystream/bench/sample"
	"paystream/payment"
)

// decode makes a Payment of every record, as the consumer does.
func decode(payments sample.Payments) error {
	for _, p := range payments {
		got, err := payment.Decoder{}.Decode(p.Value, 1)
		if err != nil {
			return err
		}
		if got.GetId() != p.Key {
			return fmt.Errorf("payment %s is taken for %s", p.Key, got.GetId())
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
