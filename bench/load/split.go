package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// splitter cuts a body into messages, and hands each to event, as it comes. A message is only good
// until event returns.
type splitter struct {
	cut   func(b []byte) (message []byte, size int, err error) // size 0 is: not whole yet
	event func(message []byte) error
	rest  []byte // of a message that is not whole yet
}

// newSplitter returns the splitter of a protocol.
func newSplitter(p Protocol, event func([]byte) error) *splitter {
	s := &splitter{event: event}
	switch p {
	case SSE:
		s.cut = cutBlock
	case NDJSON:
		s.cut = cutLine
	case GRPC, GRPCWeb, ConnectJSON, TCP:
		s.cut = cutEnvelope
	}
	return s
}

func (s *splitter) write(b []byte) error {
	if len(s.rest) > 0 {
		s.rest = append(s.rest, b...)
		b = s.rest
	}
	for len(b) > 0 {
		message, size, err := s.cut(b)
		if err != nil {
			return err
		}
		if size == 0 {
			break
		}
		if message != nil {
			if err := s.event(message); err != nil {
				return err
			}
		}
		b = b[size:]
	}
	// What is left may lie in rest itself, further on: it is moved to the front.
	s.rest = append(s.rest[:0], b...)
	return nil
}

// cutEnvelope reads a message behind five bytes: flags and length.
func cutEnvelope(b []byte) ([]byte, int, error) {
	if len(b) < envelopeSize {
		return nil, 0, nil
	}
	size := envelopeSize + int(binary.BigEndian.Uint32(b[1:]))
	if len(b) < size {
		return nil, 0, nil
	}
	if b[0] != 0 { // compressed, Connect's end, gRPC-Web's trailers
		return nil, 0, fmt.Errorf("the stream has ended, or sent what was not asked for: flags %#x, %.200q", b[0], b[envelopeSize:size])
	}
	return b[envelopeSize:size:size], size, nil
}

// cutLine reads an event of NDJSON.
func cutLine(b []byte) ([]byte, int, error) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return nil, 0, nil
	}
	if bytes.HasPrefix(b, []byte(`{"error":`)) {
		return nil, 0, fmt.Errorf("the stream has ended: %.200q", b[:end])
	}
	return b[:end:end], end + 1, nil
}

// cutBlock reads a server-sent event: its lines up to an empty one. One without data is no message.
func cutBlock(b []byte) ([]byte, int, error) {
	end := bytes.Index(b, []byte("\n\n"))
	if end < 0 {
		return nil, 0, nil
	}
	block, size := b[:end:end], end+2
	if _, ok := dataOf(block); ok {
		return block, size, nil
	}
	if bytes.HasPrefix(block, []byte("event:")) || bytes.Contains(block, []byte("\nevent:")) {
		return nil, 0, fmt.Errorf("the stream has ended: %.200q", block)
	}
	return nil, size, nil
}

// dataOf returns the data of a server-sent event that has no other name than "message".
func dataOf(block []byte) ([]byte, bool) {
	for len(block) > 0 {
		line := block
		if i := bytes.IndexByte(block, '\n'); i >= 0 {
			line, block = block[:i], block[i+1:]
		} else {
			block = nil
		}
		if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			return data, true
		}
		if bytes.HasPrefix(line, []byte("event:")) {
			return nil, false
		}
	}
	return nil, false
}
