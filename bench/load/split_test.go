package load

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

func envelope(flags byte, message string) string {
	b := binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(message)))
	return string(b) + message
}

func TestSplitterFindsEveryMessageHoweverItComes(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long", 300)
	for protocol, c := range map[Protocol]struct{ body, messages []string }{
		GRPC:   {[]string{envelope(0, "one"), envelope(0, long), envelope(0, "x")}, []string{"one", long, "x"}},
		TCP:    {[]string{envelope(0, "one"), envelope(0, "two")}, []string{"one", "two"}},
		NDJSON: {[]string{"{1}\n", long + "\n", "{3}\n"}, []string{"{1}", long, "{3}"}},
		SSE: {
			[]string{"id: a\n\n", "id: b\ndata: {1}\n\n", "data: " + long + "\n\n", "id: c\n\n", "id: d\ndata: {2}\n\n"},
			[]string{"id: b\ndata: {1}", "data: " + long, "id: d\ndata: {2}"},
		},
	} {
		body := strings.Join(c.body, "")
		for size := 1; size <= len(body); size++ {
			var got []string
			s := newSplitter(protocol, func(b []byte) error { got = append(got, string(b)); return nil })
			for piece := range slices.Chunk([]byte(body), size) {
				if err := s.write(slices.Clone(piece)); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(got, c.messages) || len(s.rest) > 0 {
				t.Fatalf("%s in pieces of %d: %q, rest %q", protocol, size, got, s.rest)
			}
		}
	}
}

func TestSplitterToldOfTheEndFails(t *testing.T) {
	t.Parallel()
	for protocol, bodies := range map[Protocol][]string{
		GRPC:        {envelope(1, "compressed")},
		GRPCWeb:     {envelope(0x80, "grpc-status: 14\r\n")},
		ConnectJSON: {envelope(2, `{"error":{"code":"unavailable"}}`)},
		NDJSON:      {`{"error":{"code":"unavailable"}}` + "\n"},
		SSE:         {"retry: 5\nid: a\nevent: gap\ndata: {}\n\n", "event: unavailable\ndata: {}\n\n"},
	} {
		for _, body := range bodies {
			s := newSplitter(protocol, func(b []byte) error { t.Errorf("%s: %q is a message", protocol, b); return nil })
			if err := s.write([]byte(body)); err == nil || !strings.Contains(err.Error(), "ended") {
				t.Errorf("%s: %v", protocol, err)
			}
		}
	}
}
