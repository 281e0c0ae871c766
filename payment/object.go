package payment

import (
	"bytes"
	"encoding/json"
	"sync"
)

// rawValue is a field's JSON text as the record has it, without white space around it; nil for a
// field that the record does not have.
type rawValue []byte

func (v rawValue) isString() bool { return len(v) > 0 && v[0] == '"' }

// fields are the contract's fields in one record but for the metadata, each as its last occurrence
// has it.
type fields struct {
	id, provider, amount, currency, status, email, timestamp rawValue
}

// named returns the field of that name, or nil.
func (f *fields) named(name []byte) *rawValue {
	switch string(name) {
	case "id":
		return &f.id
	case "provider":
		return &f.provider
	case "amount":
		return &f.amount
	case "currency":
		return &f.currency
	case "status":
		return &f.status
	case "customer_email":
		return &f.email
	case "timestamp":
		return &f.timestamp
	}
	return nil
}

// entry is a name and a value of the metadata, as texts, which may be parts of the record.
type entry struct {
	name, text []byte
}

// object reads one record's value. It is pooled for its scratch space.
type object struct {
	json    []byte
	escapes bool // whether the value has a backslash anywhere
	// metadata is what was last read of it, in the record's order, equal names included.
	metadata []entry
}

// maxPooledEntries keeps the scratch space of an unusual record out of the pool.
const maxPooledEntries = 256

var objects = sync.Pool{New: func() any { return new(object) }}

// openObject returns an object that reads value, which it borrows until close.
func openObject(value []byte) *object {
	o := objects.Get().(*object) //nolint:errcheck,forcetypeassert // New makes nothing else
	o.json = value
	o.escapes = bytes.IndexByte(value, '\\') >= 0
	return o
}

func (o *object) close() {
	o.json = nil
	clear(o.metadata) // they would keep the record in memory
	o.metadata = o.metadata[:0]
	if cap(o.metadata) > maxPooledEntries {
		o.metadata = nil
	}
	objects.Put(o)
}

// read checks that the value is one JSON object and nothing else, and finds its fields.
func (o *object) read() (f fields, err error) {
	const notJSON = "not valid JSON, or nested too deeply"
	i := space(o.json, 0)
	if i == len(o.json) {
		return f, &Rejection{Reason: notJSON}
	}
	switch c := o.json[i]; {
	case c == '{':
	case c == '[', c == '"', c == '-', '0' <= c && c <= '9', c == 't', c == 'f', c == 'n':
		return f, &Rejection{Reason: "not a JSON object"}
	default:
		return f, &Rejection{Reason: notJSON}
	}
	if i = o.readMembers(&f, i); i == malformed {
		return f, &Rejection{Reason: notJSON}
	}
	if space(o.json, i) != len(o.json) {
		return f, &Rejection{Reason: "data after the JSON object"}
	}
	return f, nil
}

func (o *object) readMembers(f *fields, i int) int {
	i, more := open(o.json, i, '}')
	for more {
		end, at := name(o.json, i)
		if end == malformed {
			return malformed
		}
		name := o.text(o.json[i:end])
		if string(name) == "metadata" {
			i = o.readMetadata(at)
		} else {
			i = value(o.json, at, 1)
		}
		if i == malformed {
			return malformed
		}
		if field := f.named(name); field != nil {
			*field = o.json[at:i]
		}
		i, more = separator(o.json, i, '}')
	}
	return i
}

func (o *object) readMetadata(i int) int {
	o.metadata = o.metadata[:0]
	if i >= len(o.json) || o.json[i] != '{' {
		return value(o.json, i, 1)
	}
	i, more := open(o.json, i, '}')
	for more {
		end, at := name(o.json, i)
		if end == malformed {
			return malformed
		}
		name := o.text(o.json[i:end])
		if i = value(o.json, at, 2); i == malformed {
			return malformed
		}
		o.metadata = append(o.metadata, entry{name, o.entryText(o.json[at:i])})
		i, more = separator(o.json, i, '}')
	}
	return i
}

// entryText is what metadata has for a value: a string's content, nothing for null, any other
// scalar's JSON, compact JSON for what is nested.
func (o *object) entryText(raw rawValue) []byte {
	switch raw[0] {
	case '"':
		return o.text(raw)
	case 'n':
		return nil
	case '{', '[':
		if !bytes.ContainsAny(raw, " \t\r\n") {
			return raw // compact already
		}
		var nested bytes.Buffer
		_ = json.Compact(&nested, raw) // It is valid JSON.
		return nested.Bytes()
	}
	return raw
}

// text returns what a JSON string says, nil for any other value. It may borrow from raw.
func (o *object) text(raw rawValue) []byte {
	if !raw.isString() {
		return nil
	}
	if inner := raw[1 : len(raw)-1]; !o.escapes || bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var text string
	_ = json.Unmarshal(raw, &text) // It is valid JSON.
	return []byte(text)
}

// number returns the text of a JSON number, also of one inside a string. It may borrow from raw.
func (o *object) number(raw rawValue) (text []byte, ok bool) {
	if raw.isString() {
		raw = o.text(raw)
	}
	return raw, number(raw, 0) == len(raw) // malformed is no length
}
