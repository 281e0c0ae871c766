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

// field is one of the contract's, or noField.
type field uint8

const (
	noField field = iota
	idField
	providerField
	amountField
	currencyField
	statusField
	emailField
	timestampField
	metadataField
	allFields
)

// fields are the fields of one record, each as its last occurrence has it.
type fields [allFields]rawValue

// named returns the field of that name.
func named(name []byte) field {
	switch string(name) {
	case "id":
		return idField
	case "provider":
		return providerField
	case "amount":
		return amountField
	case "currency":
		return currencyField
	case "status":
		return statusField
	case "customer_email":
		return emailField
	case "timestamp":
		return timestampField
	case "metadata":
		return metadataField
	}
	return noField
}

// entry is a name and a value of the metadata, as texts, which may be parts of the record.
type entry struct {
	name, text []byte
}

// object reads one record's value. It is pooled for its scratch space.
type object struct {
	json  []byte
	plain bool // the value has neither backslashes nor control characters
	// metadata is what was last read of it, in the record's order, equal names included.
	metadata []entry
	// members are those of the last plain record.
	members [maxMembers]member
}

// maxPooledEntries keeps the scratch space of an unusual record out of the pool.
const maxPooledEntries = 256

var objects = sync.Pool{New: func() any { return &object{metadata: make([]entry, 0, 16)} }}

// openObject returns an object that reads value, which it borrows until close.
func openObject(value []byte) *object {
	o := objects.Get().(*object) //nolint:errcheck,forcetypeassert // New makes nothing else
	o.json = value
	return o
}

func (o *object) close() {
	o.json = nil
	o.forget()
	if cap(o.metadata) > maxPooledEntries {
		o.metadata = nil
	}
	objects.Put(o)
}

// forget lets go of the metadata, which would keep the record in memory.
func (o *object) forget() {
	clear(o.metadata)
	o.metadata = o.metadata[:0]
}

// read checks that the value is one JSON object and nothing else, and finds its fields.
func (o *object) read(f *fields) error {
	if o.plain && o.readPlain(f) {
		return nil
	}
	*f = fields{}
	o.forget()
	return o.readAny(f)
}

func (o *object) readAny(f *fields) error {
	const notJSON = "not valid JSON, or nested too deeply"
	i := space(o.json, 0)
	if i == len(o.json) {
		return &Rejection{Reason: notJSON}
	}
	switch c := o.json[i]; {
	case c == '{':
	case c == '[', c == '"', c == '-', '0' <= c && c <= '9', c == 't', c == 'f', c == 'n':
		return &Rejection{Reason: "not a JSON object"}
	default:
		return &Rejection{Reason: notJSON}
	}
	if i = o.readMembers(f, i); i == malformed {
		return &Rejection{Reason: notJSON}
	}
	if space(o.json, i) != len(o.json) {
		return &Rejection{Reason: "data after the JSON object"}
	}
	return nil
}

func (o *object) readMembers(f *fields, i int) int {
	i, more := open(o.json, i, '}')
	for more {
		end, at := name(o.json, i)
		if end == malformed {
			return malformed
		}
		field := named(o.text(o.json[i:end]))
		if field == metadataField {
			i = o.readMetadata(at)
		} else {
			i = value(o.json, at, 1)
		}
		if i == malformed {
			return malformed
		}
		f[field] = o.json[at:i]
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
		o.metadata = append(o.metadata, entry{name, o.memberText(o.json[at:i])})
		i, more = separator(o.json, i, '}')
	}
	return i
}

// memberText is what metadata has for a value: a string's content, any other's entryText.
func (o *object) memberText(raw rawValue) []byte {
	if raw.isString() {
		return o.text(raw)
	}
	return entryText(raw)
}

// entryText is what metadata has for a value that is no string: nothing for null, any other scalar's JSON,
// compact JSON for what is nested.
func entryText(raw rawValue) []byte {
	switch raw[0] {
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
	if inner := raw[1 : len(raw)-1]; o.plain || bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var text string
	_ = json.Unmarshal(raw, &text) // It is valid JSON.
	return []byte(text)
}

// number reads a JSON number, also one inside a string. It may borrow from raw. It reports false where there is
// none; the error is of one beyond the bounds on numbers.
func (o *object) number(raw rawValue, d *decimal) (isNumber bool, err error) {
	if raw.isString() {
		raw = o.text(raw)
	}
	if d.parsePlain(raw) {
		return true, nil
	}
	if number(raw, 0) != len(raw) { // malformed is no length
		return false, nil
	}
	*d, err = parseDecimal(raw)
	return true, err
}
