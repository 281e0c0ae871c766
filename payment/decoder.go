// Package payment turns the JSON value of a Kafka record into a Payment, or says why it is none.
//
// It is pure. What Decode returns depends on its arguments alone, so every gateway makes the same
// Payment of the same record, at any time. It keeps no reference to the value and does not change
// it, and it is safe for concurrent use. Order is none of its business, loss is not possible (a record
// is a Payment or a *Rejection, never neither), and it blocks on nothing.
//
// Money is exact: an amount is read from its decimal text, never through a float. The double in
// Payment.amount is the one nearest to the exact value, and Payment.amount_minor, where set, is
// the exact value itself.
//
// A bad record is a *Rejection. It names the field and the reason and never holds anything of the
// record's content, so it may be logged and sent on.
package payment

import (
	"fmt"
	"unicode/utf8"

	"paystream/gen/payment"
)

// Decoder makes Payments of records' values. The zero Decoder is ready: Auto units, no size bound.
type Decoder struct {
	// Units is what the number in an amount means.
	Units Units
	// MaxBytes bounds the size of a value; larger ones are rejected. 0 is no bound.
	MaxBytes int
}

// Rejection is why a record is a bad one. Neither of its texts holds content of the record.
type Rejection struct { //nolint:errname // it is what happens to the record
	// Field is the JSON name of the field at fault, empty for the record as a whole.
	Field string
	// Reason is a phrase without the field's name, as in "missing".
	Reason string
}

func (r *Rejection) Error() string {
	if r.Field == "" {
		return "bad record: " + r.Reason
	}
	return "bad record: " + r.Field + ": " + r.Reason
}

// Decode turns a record's value, one JSON object in UTF-8, into a Payment. recordMillis is the
// Kafka record's time in Unix milliseconds: it becomes processed_at, and created_at where the
// payment has no sensible timestamp of its own.
//
// Field names are matched exactly; of several fields with the same name the last counts, and
// unknown ones are ignored. An escape of half a surrogate pair reads as U+FFFD.
//
// The error is always a *Rejection. Of several faults it names one, always the same for the same
// value: the record as a whole before id, currency and amount, in this order.
func (d Decoder) Decode(value []byte, recordMillis int64) (*paymentpb.Payment, error) {
	switch {
	case len(value) == 0:
		return nil, &Rejection{Reason: "empty"}
	case d.MaxBytes > 0 && len(value) > d.MaxBytes:
		return nil, &Rejection{Reason: fmt.Sprintf("larger than %d bytes", d.MaxBytes)}
	case !utf8.Valid(value):
		return nil, &Rejection{Reason: "not UTF-8"}
	}
	o := openObject(value)
	defer o.close()
	f, err := o.read()
	if err != nil {
		return nil, err
	}
	processedAt := floorSeconds(recordMillis)
	p := &paymentpb.Payment{
		Provider:    provider(o.text(f.provider)),
		Status:      status(o.text(f.status)),
		CreatedAt:   processedAt,
		ProcessedAt: processedAt,
		Metadata:    o.metadata(),
	}
	if err := setID(p, o, f.id); err != nil {
		return nil, err
	}
	cur, err := setCurrency(p, o, f.currency)
	if err != nil {
		return nil, err
	}
	if err := setAmount(p, o, f.amount, d.Units, cur); err != nil {
		return nil, err
	}
	p.CustomerEmail = string(o.text(f.email))
	if seconds, ok := timestamp(o, f.timestamp); ok {
		p.CreatedAt = seconds
	}
	return p, nil
}

func setID(p *paymentpb.Payment, o *object, raw rawValue) error {
	switch {
	case raw == nil:
		return &Rejection{"id", "missing"}
	case !raw.isString():
		return &Rejection{"id", "not a string"}
	}
	if p.Id = string(o.text(raw)); p.Id == "" {
		return &Rejection{"id", "empty"}
	}
	return nil
}

func setCurrency(p *paymentpb.Payment, o *object, raw rawValue) (currency, error) {
	switch {
	case raw == nil:
		return currency{}, &Rejection{"currency", "missing"}
	case !raw.isString():
		return currency{}, &Rejection{"currency", "not a string"}
	}
	cur, ok := parseCurrency(o.text(raw))
	if !ok {
		return currency{}, &Rejection{"currency", "not three letters"}
	}
	p.Currency = cur.code
	return cur, nil
}

func setAmount(p *paymentpb.Payment, o *object, raw rawValue, units Units, cur currency) error {
	if raw == nil {
		return &Rejection{"amount", "missing"}
	}
	number, ok := o.number(raw)
	if !ok {
		return &Rejection{"amount", "neither a number nor a string holding one"}
	}
	amount, err := parseDecimal(number)
	if err != nil {
		return &Rejection{"amount", err.Error()}
	}
	if amount.negative && !amount.isZero() {
		return &Rejection{"amount", "negative"}
	}
	if !units.toMajor(&amount, cur) {
		return &Rejection{"currency", "has no minor unit in ISO 4217"}
	}
	p.Amount = amount.float()
	amount.shift(cur.digits)
	if minor, fits := amount.floor(); fits && amount.whole() && cur.hasMinor {
		p.AmountMinor = &minor
	}
	return nil
}

func provider(text []byte) paymentpb.Provider {
	var buf wordBuffer
	switch string(lower(&buf, text)) {
	case "stripe":
		return paymentpb.Provider_PROVIDER_STRIPE
	case "razorpay":
		return paymentpb.Provider_PROVIDER_RAZORPAY
	case "paypal":
		return paymentpb.Provider_PROVIDER_PAYPAL
	}
	return paymentpb.Provider_PROVIDER_UNKNOWN
}

func status(text []byte) paymentpb.PaymentStatus {
	var buf wordBuffer
	switch string(lower(&buf, text)) {
	case "pending", "processing":
		return paymentpb.PaymentStatus_STATUS_PENDING
	case "succeeded", "completed", "paid":
		return paymentpb.PaymentStatus_STATUS_COMPLETED
	case "failed", "declined":
		return paymentpb.PaymentStatus_STATUS_FAILED
	case "refunded":
		return paymentpb.PaymentStatus_STATUS_REFUNDED
	}
	return paymentpb.PaymentStatus_STATUS_UNKNOWN
}

// wordBuffer has room for the longest provider or status; a longer text is none of them.
type wordBuffer [16]byte

// lower lowers ASCII letters only: under Unicode's folding "ſtripe" would be a provider.
func lower(buf *wordBuffer, text []byte) []byte {
	if len(text) > len(buf) {
		return nil
	}
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(text)]
}
