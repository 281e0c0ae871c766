package payment

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"sync"

	"github.com/go-faster/jx"
)

// rawValue is a field's JSON text as the record has it, without white space around it; nil for a
// field that the record does not have.
type rawValue []byte

func (v rawValue) isString() bool { return len(v) > 0 && v[0] == '"' }

func (v rawValue) isNumber() bool { return len(v) > 0 && (v[0] == '-' || '0' <= v[0] && v[0] <= '9') }

// fields are the contract's fields in one record but for the metadata, each as its last occurrence
// has it.
type fields struct {
	id, provider, amount, currency, status, email, timestamp rawValue
}

// object reads one record's value. It is pooled for its scratch space.
type object struct {
	json    jx.Decoder
	escapes bool // whether the value has a backslash anywhere

	// The texts of the metadata's names and values, one after another, and where each ends.
	texts []byte
	ends  []int
}

// maxPooledScratch keeps the scratch space of an unusual record out of the pool.
const maxPooledScratch = 16 << 10

var objects = sync.Pool{New: func() any { return new(object) }}

// openObject returns an object that reads value, which it borrows until close.
func openObject(value []byte) *object {
	o := objects.Get().(*object) //nolint:errcheck,forcetypeassert // New makes nothing else
	o.json.ResetBytes(value)
	o.escapes = bytes.IndexByte(value, '\\') >= 0
	o.texts, o.ends = o.texts[:0], o.ends[:0]
	return o
}

func (o *object) close() {
	o.json.ResetBytes(nil)
	if cap(o.texts)+8*cap(o.ends) > maxPooledScratch {
		o.texts, o.ends = nil, nil
	}
	objects.Put(o)
}

// read checks that the value is one JSON object and nothing else, and finds its fields.
func (o *object) read() (f fields, err error) {
	if kind := o.json.Next(); kind != jx.Object && kind != jx.Invalid {
		return f, &Rejection{Reason: "not a JSON object"}
	}
	err = o.json.ObjBytes(func(_ *jx.Decoder, name []byte) error {
		return o.readMember(&f, name)
	})
	if err != nil {
		// jx's own words quote the record.
		return f, &Rejection{Reason: "not valid JSON, or nested too deeply"}
	}
	if err := o.json.Skip(); !errors.Is(err, io.EOF) {
		return f, &Rejection{Reason: "data after the JSON object"}
	}
	return f, nil
}

func (o *object) readMember(f *fields, name []byte) error {
	var field *rawValue
	switch string(name) {
	case "id":
		field = &f.id
	case "provider":
		field = &f.provider
	case "amount":
		field = &f.amount
	case "currency":
		field = &f.currency
	case "status":
		field = &f.status
	case "customer_email":
		field = &f.email
	case "timestamp":
		field = &f.timestamp
	case "metadata":
		o.texts, o.ends = o.texts[:0], o.ends[:0]
		if o.json.Next() == jx.Object {
			return o.json.ObjBytes(o.readEntry)
		}
		return o.json.Skip()
	default:
		return o.json.Skip()
	}
	raw, err := o.json.Raw()
	*field = rawValue(raw)
	return err
}

func (o *object) readEntry(_ *jx.Decoder, name []byte) error {
	o.texts = append(o.texts, name...)
	o.ends = append(o.ends, len(o.texts))
	raw, err := o.json.Raw()
	if err != nil {
		return err
	}
	o.appendText(rawValue(raw))
	o.ends = append(o.ends, len(o.texts))
	return nil
}

// appendText adds to texts what metadata has for a value: a string's content, nothing for null,
// any other scalar's JSON, compact JSON for what is nested.
func (o *object) appendText(raw rawValue) {
	switch raw[0] {
	case '"':
		o.texts = append(o.texts, o.text(raw)...)
	case 'n':
	case '{', '[':
		var nested bytes.Buffer
		_ = json.Compact(&nested, raw) // It is valid JSON.
		o.texts = append(o.texts, nested.Bytes()...)
	default:
		o.texts = append(o.texts, raw...)
	}
}

// metadata is the last metadata that was read, nil if there was none in it. All its strings share
// one allocation.
func (o *object) metadata() map[string]string {
	if len(o.ends) == 0 {
		return nil
	}
	texts, start := string(o.texts), 0
	entries := make(map[string]string, len(o.ends)/2)
	for i := 0; i < len(o.ends); i += 2 {
		name, value := o.ends[i], o.ends[i+1]
		entries[texts[start:name]] = texts[name:value]
		start = value
	}
	return entries
}

// text returns what a JSON string says, nil for any other value. It may borrow from raw.
func (o *object) text(raw rawValue) []byte {
	if !raw.isString() {
		return nil
	}
	if inner := raw[1 : len(raw)-1]; !o.escapes || bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	// Not jx, which makes three U+FFFD of half a surrogate pair before a whole one.
	var text string
	_ = json.Unmarshal(raw, &text) // It is valid JSON.
	return []byte(text)
}

// number returns the text of a JSON number, also of one inside a string. It may borrow from raw.
func (o *object) number(raw rawValue) (number []byte, ok bool) {
	if raw.isNumber() {
		return raw, true
	}
	text := rawValue(o.text(raw))
	// json.Valid allows white space, also at the end.
	return text, text.isNumber() && text[len(text)-1] > ' ' && json.Valid(text)
}
