package payment

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// wantSameReading compares what readPlain finds in a record, if it takes it, with what readAny does.
func wantSameReading(t *testing.T, o *object, value string) (wasPlain bool) {
	t.Helper()
	o.json = []byte(value)
	o.forget()
	plain, ascii := survey(o.json)
	if want := !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == '\\' }); plain != want {
		t.Fatalf("%q is plain: %v, want %v", value, plain, want)
	}
	if want := !strings.ContainsFunc(value, func(r rune) bool { return r >= utf8.RuneSelf }); ascii != want {
		t.Fatalf("%q is ASCII: %v, want %v", value, ascii, want)
	}
	o.plain = plain
	var got, want fields
	if !plain || !o.readPlain(&got) {
		return false
	}
	var other object
	other.json, other.plain = o.json, false
	if err := other.readAny(&want); err != nil {
		t.Fatalf("%s is plain, though %v", value, err)
	}
	got[noField], want[noField] = nil, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-any +plain):\n%s", value, diff)
	}
	if len(o.metadata) != len(other.metadata) {
		t.Fatalf("%s: %q, want %q", value, o.metadata, other.metadata)
	}
	for i, e := range o.metadata {
		if want := other.metadata[i]; string(e.name) != string(want.name) || string(e.text) != string(want.text) {
			t.Errorf("%s: %q, want %q", value, e, want)
		}
	}
	return true
}

const usual = `{"id":"pay_1","provider":"stripe","amount":12.5,"currency":"EUR","status":"paid",` +
	`"customer_email":"ada@example.com","metadata":{"a":"1","b":2,"c":{"d":[1]}},"timestamp":1700000000}`

// unusual are records that come behind a usual one, and whether readPlain takes them.
var unusual = map[string]bool{
	usual: true,
	`{"provider":"stripe","id":"pay_2","amount":1,"currency":"EUR"}`:                                             true, // another order
	`{"id":"pay_2","amount":1,"currency":"EUR","timestamp":"2026-11-25T12:00:00Z"}`:                              true, // fewer
	`{"id":"pay_2","id":"pay_3","amount":1,"amount":"2","currency":"EUR","metadata":{"a":1},"metadata":{"b":2}}`: true,
	`{"id":"pay_2","metadata":{"a":1},"metadata":null}`:                                                          true,
	`{"id":"pay_2","metadata":{}}`:                                                                               true,
	`{"id":"pay_2","metadata":"none"}`:                                                                           true,
	`{"id":"pay_2","metadata":{"b":"1","a":"2","b":"3","c":{"d": "e f"},"g":[ ]}}`:                               true,
	`{"id": "pay_2", "provider": "stripe", "amount": 1, "metadata": {"a": "1", "b": null}}`:                      true, // spaces
	`{ "id":"pay_2"}`:                              true,
	`{"id": "pay_2"}`:                              true,
	`{"id":   "pay_2"}`:                            false,
	`{"id" :"pay_2"}`:                              false,
	`{"id":"pay_2" }`:                              false,
	`{"id":"pay_2"} `:                              false,
	` {"id":"pay_2"}`:                              false,
	"{\n\"id\":\"pay_2\"}":                         false,
	`{"ids":"pay_2","id":"pay_3","amount2":3}`:     true,
	`{"id":"pay_2","provider2":"x","provide":"y"}`: true,
	`{"\u0069d":"pay_2"}`:                          false,
	`{"id":"pay\u005f2"}`:                          false,
	`{"id":"päy_2","x":"é"}`:                       true,
	`{"id":{"id":"pay_2","provider":"x"},"id":1}`:  true,
	`{"id":"pay_2","a long name that is not remembered, since it is too long":1,"amount":2}`: true,
	`{"id":1.5e3,"amount":-0,"x":0,"y":true,"z":null,"timestamp":01}`:                        false,
	`{"id":1.5e3,"amount":-0,"x":0,"y":true,"z":null,"timestamp":10}`:                        true,
	`{}`: false, `{`: false, `{"id"`: false, `{"id":`: false, `{"id":"`: false, `{"id":"pay_2"`: false, `{"id":"pay_2",`: false,
	`{"id":"pay_2",}`: false, `{"id":"pay_2"}}`: false, `{"id":"pay_2","metadata":{"a":1}`: false, `{"id":"pay_2","metadata":{"a":1,}}`: false,
	`{,"id":"pay_2"}`: false, `{"id":"pay_2"{"provider":"stripe"}`: false, `["id":"pay_2"]`: false, ``: false,
}

func TestPlain(t *testing.T) {
	for value, want := range unusual {
		for _, before := range []string{usual, value, `{"x":1}`} {
			var o object
			wantSameReading(t, &o, before)
			if got := wantSameReading(t, &o, value); got != want {
				t.Errorf("%s behind %s: plain %v, want %v", value, before, got, want)
			}
			if !wantSameReading(t, &o, usual) {
				t.Errorf("behind %s a usual record is not plain", value)
			}
		}
	}
	var many strings.Builder
	for i := range 3 * maxMembers {
		many.WriteString(`,"` + strings.Repeat("x", i) + `":1`)
	}
	var o object
	for range 2 {
		if !wantSameReading(t, &o, `{"id":"pay_1"`+many.String()+`,"amount":2}`) {
			t.Error("a record with many members is not plain")
		}
	}
}

// FuzzPlain compares the reading of plain records, behind any other record, with that of all records.
func FuzzPlain(f *testing.F) {
	for value := range unusual {
		f.Add(usual, value)
		f.Add(value, usual)
	}
	f.Fuzz(func(t *testing.T, before, value string) {
		var o object
		for _, value := range []string{before, value, value} {
			if utf8.ValidString(value) { // what is not never gets so far
				wantSameReading(t, &o, value)
			}
		}
	})
}
