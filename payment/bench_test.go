package payment_test

import (
	"encoding/json"
	"testing"

	"paystream/payment"
)

// benchRecord has every field of the contract.
const benchRecord = `{"id":"pay_1a2b3c4d5e6f7g8h","provider":"stripe","amount":5000,"currency":"usd",` +
	`"status":"succeeded","customer_email":"ada.lovelace@example.com",` +
	`"metadata":{"order_id":"ord_100234","plan":"pro","seats":3},"timestamp":1700000000}`

// BenchmarkDecode compares Decode, which checks a record and makes a Payment of it, with what
// encoding/json alone needs to fill a struct that loses nothing of the record.
func BenchmarkDecode(b *testing.B) {
	value := []byte(benchRecord)
	b.Run("payment", func(b *testing.B) {
		b.SetBytes(int64(len(value)))
		b.ReportAllocs()
		decoder := payment.Decoder{MaxBytes: 1 << 20}
		for b.Loop() {
			if _, err := decoder.Decode(value, recordMillis); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("append", func(b *testing.B) {
		b.SetBytes(int64(len(value)))
		b.ReportAllocs()
		decoder := payment.Decoder{MaxBytes: 1 << 20}
		var dst []byte
		for b.Loop() {
			var err error
			if dst, _, err = decoder.Append(dst[:0], value, recordMillis); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(value)))
		b.ReportAllocs()
		for b.Loop() {
			var record struct {
				ID            string                     `json:"id"`
				Provider      string                     `json:"provider"`
				Amount        json.Number                `json:"amount"`
				Currency      string                     `json:"currency"`
				Status        string                     `json:"status"`
				CustomerEmail string                     `json:"customer_email"`
				Metadata      map[string]json.RawMessage `json:"metadata"`
				Timestamp     json.Number                `json:"timestamp"`
			}
			if err := json.Unmarshal(value, &record); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDecodeRejects is what a flood of the dearest bad records costs for each.
func BenchmarkDecodeRejects(b *testing.B) {
	deep := make([]byte, 1<<20)
	for i := range deep {
		deep[i] = '['
	}
	copy(deep, `{"x":`)
	for name, value := range map[string][]byte{
		"no-amount": []byte(`{"id":"pay_1"}`),
		"cut-short": []byte(benchRecord[:100]),
		"deep":      deep,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (payment.Decoder{}).Decode(value, recordMillis); err == nil {
					b.Fatal("want a rejection")
				}
			}
		})
	}
}
