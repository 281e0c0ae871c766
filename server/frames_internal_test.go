package server

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"paystream/broadcast"
	paymentpb "paystream/gen/payment"
)

type fixedSource struct{ History }

func (fixedSource) Ready() (bool, string)    { return true, "" }
func (fixedSource) Fingerprint() Fingerprint { return Fingerprint{7} }
func (fixedSource) Epochs() []int32          { return []int32{0, 3, 200} }

func newTestServer() (*Server, *broadcast.Log) {
	log := broadcast.New(broadcast.Limits{})
	return New(Config{Topic: "payments.raw", Logger: slog.New(slog.DiscardHandler)}, log, fixedSource{}), log
}

// rendered returns the one frame that a format makes of a payment at partition 2, offset 3.
func rendered(t *testing.T, log *broadcast.Log, f *format, p *paymentpb.Payment) []byte {
	t.Helper()
	value, err := proto.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := log.Subscribe(f.existing, f.live, broadcast.Start{})
	if err != nil {
		t.Fatal(err)
	}
	log.Append(broadcast.Batch{Partition: 2, Records: []broadcast.Record{{Key: p.GetId(), Value: string(value), Offset: 3, Time: 1_700_000_000_123}}, Next: 4})
	run, err := sub.Next()
	if err != nil || run.Len() != 1 {
		t.Fatalf("%d frames, %v", run.Len(), err)
	}
	return run.Bytes()
}

// TestFramesMatchTheContract holds every format's frame against what the generated code makes of
// the same event.
func TestFramesMatchTheContract(t *testing.T) {
	t.Parallel()
	payments := map[string]*paymentpb.Payment{
		"all fields": {
			Id: "pay_1", Provider: 1, Amount: 50.25, Currency: "USD", Status: 2, CustomerEmail: "ana@example.com",
			CreatedAt: 1, ProcessedAt: 2, Metadata: map[string]string{"a": "1", "b": "\n\r\"\u2028"}, AmountMinor: proto.Int64(5025),
		},
		"the least": {Id: "x", Currency: "JPY"},
		"large":     {Id: strings.Repeat("i", 100_000), Currency: "JPY"},
	}
	for name, p := range payments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, log := newTestServer()
			want := &paymentpb.PaymentEvent{
				Payment: p, EventType: "new", Topic: "payments.raw", Partition: 2, Offset: 3,
				Cursor: server.cursor(broadcast.Vector{0, 0, 4}), PublishedAt: 1_700_000_000_123,
			}
			open := func(b []byte) []byte {
				if b[0] != 0 || int(binary.BigEndian.Uint32(b[1:])) != len(b)-envelopeSize {
					t.Errorf("envelope % x around %d bytes", b[:envelopeSize], len(b)-envelopeSize)
				}
				return b[envelopeSize:]
			}
			between := func(b []byte, prefix, suffix string) []byte {
				s := string(b)
				if !strings.HasPrefix(s, prefix) || !strings.HasSuffix(s, suffix) {
					t.Errorf("frame %.60q", s)
				}
				return []byte(strings.TrimSuffix(strings.TrimPrefix(s, prefix), suffix))
			}
			for format, read := range map[string]func() ([]byte, func([]byte, proto.Message) error){
				"proto": func() ([]byte, func([]byte, proto.Message) error) {
					return open(rendered(t, log, server.formats.proto, p)), proto.Unmarshal
				},
				"json": func() ([]byte, func([]byte, proto.Message) error) {
					return open(rendered(t, log, server.formats.json, p)), protojson.Unmarshal
				},
				"sse": func() ([]byte, func([]byte, proto.Message) error) {
					return between(rendered(t, log, server.formats.sse, p), "id: "+want.GetCursor()+"\ndata: ", "\n\n"), protojson.Unmarshal
				},
				"ndjson": func() ([]byte, func([]byte, proto.Message) error) {
					return between(rendered(t, log, server.formats.ndjson, p), "", "\n"), protojson.Unmarshal
				},
			} {
				message, unmarshal := read()
				if format != "proto" && bytes.ContainsAny(message, "\n\r") {
					t.Errorf("%s: more than one line", format)
				}
				got := &paymentpb.PaymentEvent{}
				if err := unmarshal(message, got); err != nil {
					t.Fatalf("%s: %v", format, err)
				}
				if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", format, diff)
				}
			}
		})
	}
}

func TestJSONShowsDefaults(t *testing.T) {
	t.Parallel()
	server, log := newTestServer()
	f := server.formats.ndjson
	value, err := proto.Marshal(&paymentpb.Payment{Id: "x"})
	if err != nil {
		t.Fatal(err)
	}
	sub, err := log.Subscribe(f.existing, f.live, broadcast.Start{})
	if err != nil {
		t.Fatal(err)
	}
	log.Append(broadcast.Batch{Records: []broadcast.Record{{Key: "x", Value: string(value)}}, Next: 1})
	run, err := sub.Next()
	if err != nil {
		t.Fatal(err)
	}
	line := strings.ReplaceAll(string(run.Bytes()), " ", "")
	for _, want := range []string{`"partition":0`, `"offset":"0"`, `"provider":"PROVIDER_UNKNOWN"`, `"amount":0`, `"metadata":{}`} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	if strings.Contains(line, "amountMinor") {
		t.Errorf("an unset amountMinor is shown: %s", line)
	}
}
