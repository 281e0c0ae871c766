package clienttest

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	paymentpb "paystream/gen/payment"
)

// Message is an event as it came: protobuf, or JSON, which begins with a brace as no event in
// protobuf does.
type Message []byte

func (m Message) json() bool { return len(m) > 0 && m[0] == '{' }

// Decode returns the event.
func (m Message) Decode() (*paymentpb.PaymentEvent, error) {
	event := &paymentpb.PaymentEvent{}
	if m.json() {
		return event, protojson.Unmarshal(m, event)
	}
	return event, proto.Unmarshal(m, event)
}

// Place returns the event's partition and offset without decoding the rest.
func (m Message) Place() (partition int32, offset int64, err error) {
	if m.json() {
		p, err := m.number(`"partition":`)
		if err != nil {
			return 0, 0, err
		}
		offset, err := m.number(`"offset":`)
		return int32(p), offset, err
	}
	for b := m; len(b) > 0; {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, 0, protowire.ParseError(n)
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(field, kind, b); n < 0 {
			return 0, 0, protowire.ParseError(n)
		}
		switch field {
		case 4:
			v, _ := protowire.ConsumeVarint(b)
			partition = int32(v)
		case 5:
			v, _ := protowire.ConsumeVarint(b)
			offset = int64(v)
		}
		b = b[n:]
	}
	return partition, offset, nil
}

var errNoNumber = errors.New("no such number")

// number finds a number behind a name that stands nowhere else: in strings, quotes are escaped. A
// 64-bit one is a string. There may be a space behind the colon.
func (m Message) number(name string) (v int64, err error) {
	i := bytes.Index(m, []byte(name))
	if i < 0 {
		return 0, fmt.Errorf("%s %w in %s", name, errNoNumber, []byte(m))
	}
	b := bytes.TrimLeft(m[i+len(name):], ` "`)
	for n := 0; n < len(b) && '0' <= b[n] && b[n] <= '9'; n++ {
		v = 10*v + int64(b[n]-'0')
	}
	return v, nil
}
