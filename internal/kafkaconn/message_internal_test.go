package kafkaconn

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// answer is a connection on which a fixed answer comes back.
type answer struct {
	sent bytes.Buffer
	io.Reader
}

func (a *answer) Write(b []byte) (int, error) { return a.sent.Write(b) }

// response returns a response's bytes, with the size and header given.
func response(size uint32, id uint32, rest ...byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, size)
	return append(binary.BigEndian.AppendUint32(b, id), rest...)
}

func TestRawExchangeRefusesWhatIsNoAnswer(t *testing.T) {
	list := kmsg.NewPtrListOffsetsResponse()
	list.Version = 6
	body := list.AppendTo(nil)
	whole := func(tags ...byte) []byte {
		rest := slices.Concat(tags, body)
		return response(uint32(4+len(rest)), 7, rest...)
	}
	for name, tc := range map[string]struct {
		bytes []byte
		err   error // nil is any, where ok is false
		ok    bool
	}{
		"no tags":              {bytes: whole(0), ok: true},
		"two tags":             {bytes: whole(2, 0, 1, 'x', 9, 3, 'a', 'b', 'c'), ok: true},
		"another's answer":     {bytes: response(uint32(5+len(body)), 8, append([]byte{0}, body...)...), err: errNotKafka},
		"negative size":        {bytes: response(0xffffffff, 7), err: errNotKafka},
		"size beyond all":      {bytes: response(maxResponse+5, 7), err: errNotKafka},
		"no room for a header": {bytes: response(3, 7), err: errNotKafka},
		"ends in the header":   {bytes: []byte{0, 0, 0}, err: io.ErrUnexpectedEOF},
		"ends in the body":     {bytes: whole(0)[:10], err: io.ErrUnexpectedEOF},
		"nothing":              {err: io.EOF},
		"a tag beyond the end": {bytes: response(8, 7, 1, 0, 100, 0), err: io.ErrUnexpectedEOF},
		"tags without an end":  {bytes: response(8, 7, 255, 255, 255, 255), err: io.ErrUnexpectedEOF},
		"body cut short":       {bytes: response(6, 7, 0, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			req := kmsg.NewPtrListOffsetsRequest()
			req.Version = 6
			m := &message{id: 7, clientID: "test", req: req}
			_, err := m.RawExchange(&answer{Reader: bytes.NewReader(tc.bytes)})
			switch {
			case tc.ok && err != nil:
				t.Fatal(err)
			case !tc.ok && err == nil:
				t.Fatal("it was taken for an answer")
			case tc.err != nil && !errors.Is(err, tc.err):
				t.Fatalf("error is %v instead of %v", err, tc.err)
			}
		})
	}
}

func TestRawExchangeUsesTheMemoryGiven(t *testing.T) {
	list := kmsg.NewPtrListOffsetsResponse()
	list.Version = 6
	body := append([]byte{0}, list.AppendTo(nil)...)
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = 6
	buf := make([]byte, 0, 100)
	m := &message{id: 1, req: req, buf: buf}
	if _, err := m.RawExchange(&answer{Reader: bytes.NewReader(response(uint32(4+len(body)), 1, body...))}); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(buf[:len(body)], body) {
		t.Error("it was not used")
	}
	if cap(m.buf) != cap(buf) {
		t.Error("it was not given back")
	}
}
