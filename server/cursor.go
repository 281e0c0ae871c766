package server

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"strings"

	"paystream/broadcast"
	paymentpb "paystream/gen/payment"
)

// Fingerprint tells topics apart: made of the cluster's and the topic's id.
type Fingerprint [8]byte

// Three things that are called cursor somewhere must not be taken for one another: a stream's cursor
// (here), a page token (here, another kind), and a subscription's position in the log (broadcast).
//
// Both tokens are, in URL-safe base64 without padding: a byte for kind and version, the fingerprint,
// for a page its filter and count, one vector or two, leader epochs, and a CRC-32C over all of it. A vector is its
// length and each partition's next offset, as unsigned varints. The leader epochs, of which tokens of old have none,
// are one more than the epoch under which each partition's offset was found to be Kafka's, as unsigned varints; 0 is
// not known.
const (
	kindCursor = 'c'
	kindPage   = 'p'

	maxPartitions = 1 << 16
	// maxNewPartitions is how many partitions a cursor may have that this gateway has not heard of yet.
	maxNewPartitions = 1000
	maxTokenLength   = 1 << 20
)

var (
	errMalformed = errors.New("is malformed: pass on unchanged what the gateway gave")
	errForeign   = errors.New("belongs to another topic or cluster")
	errIsPage    = errors.New("is a page token of ListPayments; a stream goes on from an event's cursor or the list's stream_cursor")
	errIsCursor  = errors.New("is a stream's cursor; the next page is asked for with next_cursor")

	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	encoding   = base64.RawURLEncoding
)

// formatCursor returns a stream's cursor.
func formatCursor(f Fingerprint, v broadcast.Vector, epochs []int32) string {
	cursor, _ := appendCursor(nil, nil, f, v, epochs)
	return string(cursor)
}

// appendCursor appends a stream's cursor. It allocates nothing where dst and raw, in which it works and
// which it returns, have room.
func appendCursor(dst, raw []byte, f Fingerprint, v broadcast.Vector, epochs []int32) (cursor, _ []byte) {
	raw = append(raw[:0], kindCursor)
	raw = append(raw, f[:]...)
	raw = appendVector(raw, v)
	raw = appendEpochs(raw, epochs, len(v))
	raw = binary.BigEndian.AppendUint32(raw, crc32.Checksum(raw, castagnoli))
	return encoding.AppendEncode(dst, raw), raw
}

func (s *Server) cursor(v broadcast.Vector) string {
	return formatCursor(s.source.Fingerprint(), v, s.source.Epochs())
}

// parseCursor reads a stream's cursor. Its errors go to the client behind "cursor ".
func parseCursor(token string, f Fingerprint) (v broadcast.Vector, epochs []int32, err error) {
	b, err := openToken(token, kindCursor, f)
	if err != nil {
		return nil, nil, err
	}
	v, b, ok := readVector(b)
	if ok && len(b) > 0 {
		epochs, b, ok = readEpochs(b, len(v))
	}
	if !ok || len(b) > 0 {
		return nil, nil, errMalformed
	}
	return v, epochs, nil
}

// page is where a walk through ListPayments stands.
type page struct {
	provider paymentpb.Provider
	status   paymentpb.PaymentStatus
	total    int
	snapshot broadcast.Vector // what the walk shows
	epochs   []int32          // of the snapshot; a token of old has none
	at       broadcast.Vector // what is still to be shown is before it
}

func (p page) token(f Fingerprint) string {
	b := append([]byte{kindPage}, f[:]...)
	b = append(b, byte(p.provider), byte(p.status))
	b = binary.AppendUvarint(b, uint64(p.total))
	b = appendVector(appendVector(b, p.snapshot), p.at)
	return seal(appendEpochs(b, p.epochs, len(p.snapshot)))
}

// parsePage reads a page token. Its errors go to the client behind "cursor ".
func parsePage(token string, f Fingerprint) (page, error) {
	b, err := openToken(token, kindPage, f)
	if err != nil {
		return page{}, err
	}
	if len(b) < 2 {
		return page{}, errMalformed
	}
	p := page{provider: paymentpb.Provider(b[0]), status: paymentpb.PaymentStatus(b[1])}
	total, n := binary.Uvarint(b[2:])
	if n <= 0 || total > math.MaxInt32 {
		return page{}, errMalformed
	}
	p.total = int(total)
	var ok bool
	if p.snapshot, b, ok = readVector(b[2+n:]); !ok {
		return page{}, errMalformed
	}
	if p.at, b, ok = readVector(b); ok && len(b) > 0 {
		p.epochs, b, ok = readEpochs(b, len(p.snapshot))
	}
	if !ok || len(b) > 0 {
		return page{}, errMalformed
	}
	return p, nil
}

// seal returns b with its checksum, as text.
func seal(b []byte) string {
	return encoding.EncodeToString(binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)))
}

// openToken checks a token and returns what stands behind its fingerprint.
func openToken(token string, kind byte, f Fingerprint) ([]byte, error) {
	if len(token) > maxTokenLength {
		return nil, errMalformed
	}
	b, err := encoding.Strict().DecodeString(token)
	// Line breaks pass the decoder, being allowed in base64 elsewhere.
	if err != nil || strings.ContainsAny(token, "\r\n") || len(b) < 1+len(f)+4 {
		return nil, errMalformed
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	switch {
	case crc32.Checksum(body, castagnoli) != sum:
		return nil, errMalformed
	case body[0] == kindPage && kind == kindCursor:
		return nil, errIsPage
	case body[0] == kindCursor && kind == kindPage:
		return nil, errIsCursor
	case body[0] != kind:
		return nil, errMalformed
	case Fingerprint(body[1:1+len(f)]) != f:
		return nil, errForeign
	}
	return body[1+len(f):], nil
}

func appendVector(b []byte, v broadcast.Vector) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	for _, offset := range v {
		b = binary.AppendUvarint(b, uint64(offset))
	}
	return b
}

func readVector(b []byte) (v broadcast.Vector, rest []byte, ok bool) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > maxPartitions || length > uint64(len(b)) {
		return nil, nil, false
	}
	b = b[n:]
	v = make(broadcast.Vector, length)
	for p := range v {
		offset, n := binary.Uvarint(b)
		if n <= 0 || offset > math.MaxInt64 {
			return nil, nil, false
		}
		v[p], b = int64(offset), b[n:]
	}
	return v, b, true
}

func appendEpochs(b []byte, epochs []int32, length int) []byte {
	for p := range length {
		above := int32(0)
		if p < len(epochs) {
			above = max(epochs[p], -1) + 1
		}
		b = binary.AppendUvarint(b, uint64(above))
	}
	return b
}

func readEpochs(b []byte, length int) (epochs []int32, rest []byte, ok bool) {
	if length > len(b) {
		return nil, nil, false
	}
	epochs = make([]int32, length)
	for p := range epochs {
		above, n := binary.Uvarint(b)
		if n <= 0 || above > math.MaxInt32 {
			return nil, nil, false
		}
		epochs[p], b = int32(above)-1, b[n:]
	}
	return epochs, b, true
}
