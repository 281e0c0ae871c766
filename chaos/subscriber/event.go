package subscriber

import (
	"bytes"
	"errors"

	"google.golang.org/protobuf/encoding/protowire"

	"paystream/chaos/traffic"
	"paystream/internal/clienttest"
)

// event is what the judge needs of a message. Its texts are parts of the message.
type event struct {
	payment   bool // a heartbeat has none
	partition int32
	offset    int64
	print     uint64
	cursor    []byte
}

var errMessage = errors.New("a message that is no event")

// read reads a message without decoding the rest of it: thirty subscribers share two cores.
func read(m clienttest.Message) (event, error) {
	if len(m) > 0 && m[0] == '{' {
		return readJSON(m)
	}
	return readProto(m)
}

func readProto(m []byte) (e event, err error) {
	err = fields(m, func(field protowire.Number, number uint64, text []byte) error {
		switch field {
		case 1:
			e.payment = true
			return e.readPayment(text)
		case 4:
			e.partition = int32(number)
		case 5:
			e.offset = int64(number)
		case 6:
			e.cursor = text
		}
		return nil
	})
	return e, err
}

func (e *event) readPayment(b []byte) error {
	var id []byte
	var minor int64
	err := fields(b, func(field protowire.Number, number uint64, text []byte) error {
		switch field {
		case 1:
			id = text
		case 10:
			minor = int64(number)
		}
		return nil
	})
	e.print = traffic.Print(id, minor)
	return err
}

// fields calls for each field of a message: varints by their number, texts and messages by their bytes.
func fields(b []byte, each func(field protowire.Number, number uint64, text []byte) error) error {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var number uint64
		var text []byte
		switch kind {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			text, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := each(field, number, text); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// readJSON finds members by their names: the harness's own payments hold nothing that looks like them.
func readJSON(m []byte) (event, error) {
	e := event{payment: bytes.HasPrefix(m, []byte(`{"payment":{`))}
	var ok bool
	if e.cursor, ok = member(m, `"cursor":"`); !ok {
		return e, errMessage
	}
	if !e.payment {
		return e, nil
	}
	id, ok1 := member(m, `"id":"`)
	minor, ok2 := member(m, `"amountMinor":"`)
	partition, ok3 := member(m, `"partition":`)
	offset, ok4 := member(m, `"offset":"`)
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return e, errMessage
	}
	e.print = traffic.Print(id, number(minor))
	e.partition, e.offset = int32(number(partition)), number(offset)
	return e, nil
}

// member returns what follows a member's name, up to the next quotation mark, comma or brace.
func member(m []byte, name string) ([]byte, bool) {
	i := bytes.Index(m, []byte(name))
	if i < 0 {
		return nil, false
	}
	rest := m[i+len(name):]
	end := bytes.IndexAny(rest, `",}`)
	if end < 0 {
		return nil, false
	}
	return rest[:end], true
}

func number(b []byte) (n int64) {
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		n = 10*n + int64(c-'0')
	}
	return n
}
