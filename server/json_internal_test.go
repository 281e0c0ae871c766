package server

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"paystream/broadcast"
	paymentpb "paystream/gen/payment"
)

// all is every ASCII character, and some that encoders are known to stumble over.
func all() string {
	var b []byte
	for c := range byte(128) {
		b = append(b, c)
	}
	return string(b) + "\u0080\u2028\u2029\ufeff\ufffd₹😀\u202e"
}

// TestJSONIsProtobufs holds our JSON against protojson's, as values.
func TestJSONIsProtobufs(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]*paymentpb.Payment{
		"nothing but an id":    {Id: "x"},
		"every character":      {Id: all(), Currency: all(), CustomerEmail: all(), Metadata: map[string]string{all(): all(), "": ""}},
		"enums without a name": {Id: "x", Provider: 17, Status: -1},
		"smallest":             {Id: "x", Amount: math.SmallestNonzeroFloat64, CreatedAt: math.MinInt64, ProcessedAt: math.MinInt64, AmountMinor: proto.Int64(math.MinInt64)},
		"largest":              {Id: "x", Amount: math.MaxFloat64, CreatedAt: math.MaxInt64, ProcessedAt: math.MaxInt64, AmountMinor: proto.Int64(math.MaxInt64)},
		"an amount of zero":    {Id: "x", AmountMinor: proto.Int64(0)},
		"beyond 2^53":          {Id: "x", Amount: 1e21, Provider: 3, Status: 4},
		"a tenth":              {Id: "x", Amount: 0.1},
		"a millionth":          {Id: "x", Amount: 1e-7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := newTestServer()
			value, err := proto.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			e := broadcast.Entry{Partition: 2, Offset: 3, Time: 4, Value: string(value)}
			want, err := marshalJSON.Marshal(&paymentpb.PaymentEvent{
				Payment: p, EventType: "new", Topic: "payments.raw", Partition: 2, Offset: 3, Cursor: "c", PublishedAt: 4,
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(valuesOf(t, want), valuesOf(t, server.appendJSON(nil, &e, "new", []byte("c")))); diff != "" {
				t.Errorf("-protojson +ours:\n%s", diff)
			}
		})
	}
	t.Run("a heartbeat", func(t *testing.T) {
		t.Parallel()
		server, _ := newTestServer()
		want, err := marshalJSON.Marshal(&paymentpb.PaymentEvent{EventType: "heartbeat", Topic: "payments.raw", Cursor: "c"})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(valuesOf(t, want), valuesOf(t, server.appendJSON(nil, nil, "heartbeat", []byte("c")))); diff != "" {
			t.Errorf("-protojson +ours:\n%s", diff)
		}
	})
}

func valuesOf(t *testing.T, b []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return v
}

// BenchmarkRender makes the frame of one payment, as each wire format has it.
func BenchmarkRender(b *testing.B) {
	server, _ := newTestServer()
	value, err := proto.Marshal(&paymentpb.Payment{
		Id: "pay_04ab1f", Provider: 1, Amount: 50, Currency: "USD", Status: 2, CustomerEmail: "ada@example.com",
		CreatedAt: 1_700_000_000, ProcessedAt: 1_700_000_001, AmountMinor: proto.Int64(5000),
		Metadata: map[string]string{"order_id": "ord_1", "country": "DE", "method": "card", "card_brand": "visa"},
	})
	if err != nil {
		b.Fatal(err)
	}
	e := broadcast.Entry{Partition: 2, Offset: 3, Time: 4, Value: string(value)}
	for name, event := range map[string]appendEvent{
		"proto": server.appendProto,
		"json":  server.appendJSON,
		"protojson": func(dst []byte, e *broadcast.Entry, eventType string, cursor []byte) []byte {
			dst, err := marshalJSON.MarshalAppend(dst, &paymentpb.PaymentEvent{
				Payment: paymentOf(*e), EventType: eventType, Topic: "payments.raw", Partition: e.Partition,
				Offset: e.Offset, Cursor: string(cursor), PublishedAt: e.Time,
			})
			if err != nil {
				b.Fatal(err)
			}
			return dst
		},
	} {
		b.Run(name, func(b *testing.B) {
			var frame []byte
			render := server.render(framing(event, nil, nil, true), typeNew, func(broadcast.Vector) []int32 { return server.source.Epochs() })
			b.ReportAllocs()
			for b.Loop() {
				frame = render(frame[:0], e, broadcast.Vector{1 << 20, 2 << 20, 3 << 20})
			}
		})
	}
}
