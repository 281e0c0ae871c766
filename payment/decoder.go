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
	o := openObject(value)
	defer o.close()
	r, err := d.read(o, recordMillis)
	if err != nil {
		return nil, err
	}
	p := &paymentpb.Payment{
		Id:            string(r.id),
		Provider:      r.provider,
		Amount:        r.amount,
		Currency:      r.currency,
		Status:        r.status,
		CustomerEmail: string(r.email),
		CreatedAt:     r.createdAt,
		ProcessedAt:   r.processedAt,
		Metadata:      metadata(o.metadata),
	}
	if r.hasMinor {
		p.AmountMinor = new(r.minor)
	}
	return p, nil
}

// metadata makes a map of the entries, nil of none. All its strings share one allocation.
func metadata(entries []entry) map[string]string {
	if len(entries) == 0 {
		return nil
	}
	size := 0
	for _, e := range entries {
		size += len(e.name) + len(e.text)
	}
	joined := make([]byte, 0, size)
	for _, e := range entries {
		joined = append(append(joined, e.name...), e.text...)
	}
	texts := string(joined)
	m := make(map[string]string, len(entries))
	for _, e := range entries {
		name, text := len(e.name), len(e.name)+len(e.text)
		m[texts[:name]] = texts[name:text]
		texts = texts[text:]
	}
	return m
}

// reading is what a good record says, but for its metadata, which stays in the object. Texts may be
// parts of the record.
type reading struct {
	id, email              []byte
	provider               paymentpb.Provider
	status                 paymentpb.PaymentStatus
	currency               string
	amount                 float64
	minor                  int64
	hasMinor               bool
	createdAt, processedAt int64
}

// read reads and checks the value that the object holds. The error is a *Rejection.
func (d Decoder) read(o *object, recordMillis int64) (r reading, err error) {
	switch {
	case len(o.json) == 0:
		return r, &Rejection{Reason: "empty"}
	case d.MaxBytes > 0 && len(o.json) > d.MaxBytes:
		return r, &Rejection{Reason: fmt.Sprintf("larger than %d bytes", d.MaxBytes)}
	}
	var ascii bool
	if o.plain, ascii = survey(o.json); !ascii && !utf8.Valid(o.json) {
		return r, &Rejection{Reason: "not UTF-8"}
	}
	var f fields
	if err := o.read(&f); err != nil {
		return r, err
	}
	if err := r.setID(o, f[idField]); err != nil {
		return r, err
	}
	cur, err := r.setCurrency(o, f[currencyField])
	if err != nil {
		return r, err
	}
	if err := r.setAmount(o, f[amountField], d.Units, cur); err != nil {
		return r, err
	}
	r.provider, r.status, r.email = provider(o.text(f[providerField])), status(o.text(f[statusField])), o.text(f[emailField])
	r.processedAt = floorSeconds(recordMillis)
	r.createdAt = r.processedAt
	if seconds, ok := timestamp(o, f[timestampField]); ok {
		r.createdAt = seconds
	}
	return r, nil
}

func (r *reading) setID(o *object, raw rawValue) error {
	switch {
	case raw == nil:
		return &Rejection{"id", "missing"}
	case !raw.isString():
		return &Rejection{"id", "not a string"}
	}
	if r.id = o.text(raw); len(r.id) == 0 {
		return &Rejection{"id", "empty"}
	}
	return nil
}

func (r *reading) setCurrency(o *object, raw rawValue) (currency, error) {
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
	r.currency = cur.code
	return cur, nil
}

func (r *reading) setAmount(o *object, raw rawValue, units Units, cur currency) error {
	if raw == nil {
		return &Rejection{"amount", "missing"}
	}
	var amount decimal
	isNumber, err := o.number(raw, &amount)
	switch {
	case !isNumber:
		return &Rejection{"amount", "neither a number nor a string holding one"}
	case err != nil:
		return &Rejection{"amount", err.Error()}
	case amount.negative && !amount.isZero():
		return &Rejection{"amount", "negative"}
	}
	if !units.toMajor(&amount, cur) {
		return &Rejection{"currency", "has no minor unit in ISO 4217"}
	}
	r.amount = amount.float()
	amount.shift(cur.digits)
	minor, fits := amount.floor()
	if r.hasMinor = fits && amount.whole() && cur.hasMinor; r.hasMinor {
		r.minor = minor
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

// lower lowers ASCII letters only: under Unicode's folding "ſtripe" would be a provider. Other bytes may change too,
// but none into a letter.
func lower(buf *wordBuffer, text []byte) []byte {
	if len(text) > len(buf) {
		return nil
	}
	for i, c := range text {
		buf[i] = c | ('a' - 'A')
	}
	return buf[:len(text)]
}
