package payment_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"paystream/payment"
)

var deterministic = proto.MarshalOptions{Deterministic: true}

// wantAppended checks that Append says of a value what Decode and proto.Marshal say.
func wantAppended(t *testing.T, d payment.Decoder, value []byte, millis int64) {
	t.Helper()
	p, wantErr := d.Decode(value, millis)
	before := []byte("before")
	got, told, err := d.Append(slices.Clone(before), value, millis)
	if !cmp.Equal(err, wantErr) {
		t.Fatalf("Append(%s): %v, Decode: %v", value, err, wantErr)
	}
	if err != nil {
		if !bytes.Equal(got, before) || told != (payment.Encoded{}) {
			t.Errorf("Append(%s) has appended to %q and told %v with its error", value, got, told)
		}
		return
	}
	want, err := deterministic.MarshalAppend(before, p)
	if err != nil {
		t.Fatalf("marshal %v: %v", p, err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("Append(%s):\n got %q\nwant %q", value, got, want)
	}
	if id := string(got[told.ID[0]:told.ID[1]]); id != p.GetId() || told.Provider != p.GetProvider() || told.Status != p.GetStatus() {
		t.Errorf("Append(%s) tells %v, id %q, of %v", value, told, id, p)
	}
}

func TestAppend(t *testing.T) {
	many := make([]string, 0, 300)
	for i := range 300 {
		many = append(many, fmt.Sprintf(`"k%d":%d`, i*7%300, i))
	}
	for name, value := range map[string]string{
		"every field":                  record(),
		"only what is required":        `{"id":"a","amount":1,"currency":"CHF"}`,
		"amount zero":                  record("amount", `-0`),
		"currency not in ISO 4217":     record("currency", `"btc"`),
		"metadata empty":               record("metadata", `{}`),
		"metadata in order":            record("metadata", `{"a":"1","b":2,"c":null,"":""}`),
		"metadata in another order":    record("metadata", `{"c":"1","a":true,"b":{"x":[1]}}`),
		"metadata twice":               record("metadata", `{"b":"1","a":"2","b":"3"}`),
		"metadata twice in a row":      record("metadata", `{"a":"1","a":"2"}`),
		"metadata, much of it":         record("metadata", "{"+strings.Join(many, ",")+"}"),
		"metadata with white space":    record("metadata", `{"a":{ "b" : "c d" },"e":["f g"]}`),
		"texts of more than 127 bytes": record("id", `"`+strings.Repeat("x", 200)+`"`, "metadata", `{"a":"`+strings.Repeat("é", 9000)+`"}`),
		"escapes":                      record("id", `"\u0061\ud800"`, "customer_email", `"\n"`, "metadata", `{"\u0061":"\"","b":"\\"}`),
		"a bad one":                    record("id", `""`),
		"no JSON":                      `{`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, millis := range []int64{recordMillis, 0, -1} {
				wantAppended(t, payment.Decoder{}, []byte(value), millis)
			}
		})
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	value, dst := []byte(record("metadata", `{"c":"1","a":true,"b":{"x":[1]}}`)), make([]byte, 0, 1<<10)
	n := testing.AllocsPerRun(100, func() {
		if _, _, err := (payment.Decoder{}).Append(dst, value, recordMillis); err != nil {
			t.Fatal(err)
		}
	})
	if n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzAppend compares Append with Decode and proto.Marshal.
func FuzzAppend(f *testing.F) {
	for _, value := range []string{
		benchRecord,
		record("amount", `-0`, "metadata", `{"f":true,"a":{"b":[1, 2 ]},"c":null,"d":"\ud800\u00e9\\","e":-1.0E+2}`),
		record("id", `"\ud83d\ude00"`, "provider", `"PAYPAL"`, "metadata", `{"a":"1","a":"2"}`, "timestamp", `"2020-09-13t12:26:40+05:30"`),
		record("id", `""`),
	} {
		for units := range uint8(3) {
			f.Add([]byte(value), units, int64(recordMillis))
		}
	}
	f.Fuzz(func(t *testing.T, value []byte, units uint8, millis int64) {
		wantAppended(t, payment.Decoder{Units: payment.Units(units % 3)}, value, millis)
	})
}

func TestScanDepth(t *testing.T) {
	for depth, good := range map[int]bool{9999: true, 10000: false} { // the record itself is one more
		for _, nested := range []string{
			strings.Repeat("[", depth) + strings.Repeat("]", depth),
			strings.Repeat(`{"":`, depth-1) + "{}" + strings.Repeat("}", depth-1),
		} {
			value := []byte(record("x", nested))
			if _, err := (payment.Decoder{}).Decode(value, 0); (err == nil) != good || json.Valid(value) != good {
				t.Errorf("%d deep: %v, json.Valid says %v", depth, err, json.Valid(value))
			}
		}
	}
	value := []byte(record("metadata", `{"a":`+strings.Repeat("[", 9998)+strings.Repeat("]", 9998)+"}"))
	if _, err := (payment.Decoder{}).Decode(value, 0); err != nil {
		t.Errorf("metadata: %v", err)
	}
}

// FuzzScan compares which values are JSON with encoding/json. What is not UTF-8 never gets so far.
func FuzzScan(f *testing.F) {
	for _, value := range []string{
		`"a\"\\\/\b\f\n\r\t\u00e9\uD83d"`, `"\u12"`, `"\x"`, "\"a\x1fb\"", `"`, `"\`, `"0123456\"`, `"01234567`, "\"\x7f\"",
		`0`, `-0`, `01`, `-`, `1.`, `.5`, `1.5e+3`, `1E-0`, `1e`, `1e+`, `+1`, `0x1`, `-01`, `1.0.0`,
		`true`, `tru`, `false`, `null`, `nul`, `nullx`, `[]`, `[ ]`, `[1,]`, `[1 2]`, `[,1]`, `[1 , [2 ]]`, `[`, `[1`, `[1}`,
		`{}`, `{ }`, `{"a":1}`, `{"a" : 1 , "b":{}}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `{1:1}`, `{"a":1]`, `{,}`, "\v", "\u00a0",
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		value = strings.ToValidUTF8(value, "?")
		for _, member := range []string{"x", "metadata", "timestamp"} {
			text := `{"id":"a","amount":1,"currency":"CHF","` + member + `": ` + value + "\n}"
			_, err := payment.Decoder{}.Decode([]byte(text), 0)
			var why *payment.Rejection
			refused := errors.As(err, &why) && why.Field == ""
			if valid := json.Valid([]byte(text)); valid == refused {
				t.Errorf("%s: %v, json.Valid says %v", text, err, valid)
			}
		}
	})
}
