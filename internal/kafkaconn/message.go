package kafkaconn

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxResponse bounds what is read of one response. A record batch may be larger
// than any limit that a fetch asks for, so this is far above those limits.
const maxResponse = 256 << 20

// keepResponse is the largest memory that is kept for the next response.
const keepResponse = 4 << 20

// message is a request and then its own response. kafka-go's transport takes it
// for one of its messages, finds the connection to the broker, and lets it
// write and read for itself there.
type message struct {
	broker   int32
	clientID string
	id       int32 // the correlation id, which the response repeats
	req      kmsg.Request
	res      kmsg.Response
	buf      []byte
}

var (
	_ protocol.Message       = (*message)(nil)
	_ protocol.BrokerMessage = (*message)(nil)
	_ protocol.RawExchanger  = (*message)(nil)
)

func (m *message) ApiKey() protocol.ApiKey { return protocol.ApiKey(m.req.Key()) } //nolint:revive,staticcheck // kafka-go's name

func (m *message) Required(map[protocol.ApiKey]int16) bool { return true }

// Broker routes by the id alone: what the transport believes about leaders,
// which may be old, does not matter.
func (m *message) Broker(protocol.Cluster) (protocol.Broker, error) {
	return protocol.Broker{ID: m.broker}, nil
}

func (m *message) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	f := kmsg.NewRequestFormatter(kmsg.FormatterClientID(m.clientID))
	if _, err := rw.Write(f.AppendRequest(nil, m.req, m.id)); err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	body, err := m.read(rw)
	if err != nil {
		return nil, fmt.Errorf("read response: %w", err)
	}
	m.res = m.req.ResponseKind()
	m.res.SetVersion(m.req.GetVersion())
	if err := m.res.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("parse response: %w", err)
	}
	return m, nil
}

// read returns the response without its header.
func (m *message) read(r io.Reader) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := int64(int32(binary.BigEndian.Uint32(head[:]))) - 4
	if size < 0 || size > maxResponse {
		return nil, fmt.Errorf("%w: a size of %d bytes", errNotKafka, size)
	}
	if id := int32(binary.BigEndian.Uint32(head[4:])); id != m.id {
		return nil, fmt.Errorf("%w: correlation id %d instead of %d", errNotKafka, id, m.id)
	}
	if int64(cap(m.buf)) < size {
		m.buf = make([]byte, size)
	}
	body := m.buf[:size]
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	if cap(m.buf) > keepResponse {
		m.buf = nil
	}
	if m.req.IsFlexible() {
		return skipTags(body)
	}
	return body, nil
}

// skipTags returns what follows the tags at the end of a flexible header.
func skipTags(b []byte) ([]byte, error) {
	count, b, err := uvarint(b)
	for ; err == nil && count > 0; count-- {
		var size uint64
		if _, b, err = uvarint(b); err != nil { // the tag
			break
		}
		if size, b, err = uvarint(b); err != nil {
			break
		}
		if size > uint64(len(b)) {
			return nil, io.ErrUnexpectedEOF
		}
		b = b[size:]
	}
	return b, err
}

func uvarint(b []byte) (uint64, []byte, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return n, b[size:], nil
}
