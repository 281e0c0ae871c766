package payment_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"paystream/gen/payment"
	"paystream/payment"
)

// recordMillis is the Kafka time of the tests' records.
const recordMillis = 1700000099999

// record is a good record's value with some fields changed: edits are names and JSON texts in
// turn, and an empty text leaves the field out.
func record(edits ...string) string {
	fields := []string{
		"id", `"pay_1"`,
		"provider", `"stripe"`,
		"amount", `"12.34"`,
		"currency", `"CHF"`,
		"status", `"paid"`,
		"customer_email", `"ada@example.com"`,
		"metadata", `{"order":"7"}`,
		"timestamp", `1600000000`,
	}
	for i := 0; i < len(edits); i += 2 {
		if at := slices.Index(fields, edits[i]); at >= 0 {
			fields[at+1] = edits[i+1]
		} else {
			fields = append(fields, edits[i], edits[i+1])
		}
	}
	var members []string
	for i := 0; i < len(fields); i += 2 {
		if fields[i+1] != "" {
			members = append(members, fmt.Sprintf("%q:%s", fields[i], fields[i+1]))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// good is the Payment of record() with some fields changed.
func good(change func(*paymentpb.Payment)) *paymentpb.Payment {
	p := &paymentpb.Payment{
		Id:            "pay_1",
		Provider:      paymentpb.Provider_PROVIDER_STRIPE,
		Amount:        12.34,
		AmountMinor:   proto.Int64(1234),
		Currency:      "CHF",
		Status:        paymentpb.PaymentStatus_STATUS_COMPLETED,
		CustomerEmail: "ada@example.com",
		CreatedAt:     1600000000,
		ProcessedAt:   1700000099,
		Metadata:      map[string]string{"order": "7"},
	}
	if change != nil {
		change(p)
	}
	return p
}

func TestDecode(t *testing.T) {
	type pb = paymentpb.Payment
	metadata := func(m map[string]string) func(*pb) { return func(p *pb) { p.Metadata = m } }
	unchanged := func(*pb) {}
	noProvider := func(p *pb) { p.Provider = paymentpb.Provider_PROVIDER_UNKNOWN }
	noStatus := func(p *pb) { p.Status = paymentpb.PaymentStatus_STATUS_UNKNOWN }
	noEmail := func(p *pb) { p.CustomerEmail = "" }
	for name, tc := range map[string]struct {
		value string
		want  func(*pb)
	}{
		"every field":                             {record(), unchanged},
		"unknown fields are ignored":              {record("x", `{"id":"other","amount":[1]}`), unchanged},
		"names are matched exactly, not by case":  {record("ID", `"other"`, "Amount", `"x"`), unchanged},
		"an escaped name is the same name":        {strings.Replace(record(), `"id"`, `"\u0069d"`, 1), unchanged},
		"of fields with one name the last counts": {`{"id":7,"amount":"x",` + record()[1:], unchanged},
		"metadata of one name are not merged":     {`{"metadata":{"a":"b"},` + record()[1:], unchanged},
		"the last metadata counts, if null":       {strings.TrimSuffix(record(), "}") + `,"metadata":null}`, metadata(nil)},
		"white space around everything":           {"\r\n\t " + strings.NewReplacer(":", " :\n", ",", "\t, ", "{", "{ ", "}", " }").Replace(record()) + " \n", unchanged},
		"only what is required": {`{"id":"a","amount":1,"currency":"CHF"}`, func(p *pb) {
			*p = pb{}
			p.Id, p.Currency, p.Amount, p.AmountMinor, p.CreatedAt, p.ProcessedAt = "a", "CHF", 1, proto.Int64(100), 1700000099, 1700000099
		}},
		"id of white space is an id":                {record("id", `" "`), func(p *pb) { p.Id = " " }},
		"id with escapes":                           {record("id", `"a\"\\\/\n\u00e9\ud83d\ude00"`), func(p *pb) { p.Id = "a\"\\/\né😀" }},
		"id not in ASCII":                           {record("id", `"zażółć"`), func(p *pb) { p.Id = "zażółć" }},
		"half a surrogate pair is U+FFFD":           {record("id", `"a\ud800"`), func(p *pb) { p.Id = "a\ufffd" }},
		"half a pair before a whole one":            {record("id", `"\ud800\ud83d\ude00"`), func(p *pb) { p.Id = "\ufffd😀" }},
		"half a surrogate pair in metadata":         {record("metadata", `{"\udc00":"\ud800x"}`), metadata(map[string]string{"\ufffd": "\ufffdx"})},
		"currency is upper-cased":                   {record("currency", `"cHf"`), unchanged},
		"currency with escapes":                     {record("currency", `"\u0063hf"`, "amount", `"\u0031\u0032.34"`), unchanged},
		"currency not in ISO 4217 has no minor":     {record("currency", `"btc"`), func(p *pb) { p.Currency, p.AmountMinor = "BTC", nil }},
		"provider in capitals":                      {record("provider", `"STRIPE"`), unchanged},
		"provider razorpay":                         {record("provider", `"RazorPay"`), func(p *pb) { p.Provider = paymentpb.Provider_PROVIDER_RAZORPAY }},
		"provider paypal":                           {record("provider", `"PayPal"`), func(p *pb) { p.Provider = paymentpb.Provider_PROVIDER_PAYPAL }},
		"provider unknown":                          {record("provider", `"adyen"`), noProvider},
		"provider with spaces is unknown":           {record("provider", `" stripe "`), noProvider},
		"provider is not folded beyond ASCII":       {record("provider", `"ſtripe"`), noProvider},
		"provider far too long is unknown":          {record("provider", `"`+strings.Repeat("stripe", 99)+`"`), noProvider},
		"provider of another type is unknown":       {record("provider", `1`), noProvider},
		"provider null is unknown":                  {record("provider", `null`), noProvider},
		"provider missing is unknown":               {record("provider", ``), noProvider},
		"status of another type is unknown":         {record("status", `["paid"]`), noStatus},
		"status unknown":                            {record("status", `"disputed"`), noStatus},
		"status missing is unknown":                 {record("status", ``), noStatus},
		"email with escapes":                        {record("customer_email", `"\u0061@b"`), func(p *pb) { p.CustomerEmail = "a@b" }},
		"email of another type is none":             {record("customer_email", `{"a":"b"}`), noEmail},
		"email null is none":                        {record("customer_email", `null`), noEmail},
		"email missing":                             {record("customer_email", ``), noEmail},
		"metadata missing":                          {record("metadata", ``), metadata(nil)},
		"metadata empty":                            {record("metadata", `{ }`), metadata(nil)},
		"metadata null is none":                     {record("metadata", `null`), metadata(nil)},
		"metadata of another type is none":          {record("metadata", `[{"a":"b"}]`), metadata(nil)},
		"metadata string that looks like an object": {record("metadata", `"{\"a\":1}"`), metadata(nil)},
		"metadata scalars become strings": {
			record("metadata", `{"s":"x\ty","n":1.50e+2,"big":123456789012345678901234567890,"t":true,"f":false,"null":null,"":""}`),
			metadata(map[string]string{"s": "x\ty", "n": "1.50e+2", "big": "123456789012345678901234567890", "t": "true", "f": "false", "null": "", "": ""}),
		},
		"metadata nested values become compact JSON": {
			record("metadata", `{"o": { "b" : [ 1.0 , "]}\\\" ," ] , "a":null, "a": "\u00e9\ud800é" } , "l":[ ], "e":{ }}`),
			metadata(map[string]string{"o": `{"b":[1.0,"]}\\\" ,"],"a":null,"a":"\u00e9\ud800é"}`, "l": "[]", "e": "{}"}),
		},
		"metadata keys: the last of equals, escaped or not": {
			record("metadata", `{"a":"1","\u0061":"2","b":"3"}`), metadata(map[string]string{"a": "2", "b": "3"}),
		},
		"metadata texts that end with backslashes": {
			record("metadata", `{"a\\":"b\\\\","\"":"\\\""}`), metadata(map[string]string{`a\`: `b\\`, `"`: `\"`}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := payment.Decoder{}.Decode([]byte(tc.value), recordMillis)
			if err != nil {
				t.Fatalf("Decode(%s): %v", tc.value, err)
			}
			if diff := cmp.Diff(good(tc.want), got, protocmp.Transform()); diff != "" {
				t.Errorf("Decode(%s) (-want +got):\n%s", tc.value, diff)
			}
		})
	}
}

func TestDecodeStatus(t *testing.T) {
	for text, want := range map[string]paymentpb.PaymentStatus{
		"pending":    paymentpb.PaymentStatus_STATUS_PENDING,
		"processing": paymentpb.PaymentStatus_STATUS_PENDING,
		"succeeded":  paymentpb.PaymentStatus_STATUS_COMPLETED,
		"completed":  paymentpb.PaymentStatus_STATUS_COMPLETED,
		"paid":       paymentpb.PaymentStatus_STATUS_COMPLETED,
		"failed":     paymentpb.PaymentStatus_STATUS_FAILED,
		"declined":   paymentpb.PaymentStatus_STATUS_FAILED,
		"refunded":   paymentpb.PaymentStatus_STATUS_REFUNDED,
		"":           paymentpb.PaymentStatus_STATUS_UNKNOWN,
	} {
		for _, text := range []string{text, strings.ToUpper(text)} {
			p, err := payment.Decoder{}.Decode([]byte(record("status", `"`+text+`"`)), 0)
			if err != nil || p.GetStatus() != want {
				t.Errorf("status %q: got %v, %v, want %v", text, p.GetStatus(), err, want)
			}
		}
	}
}

// secret stands in bad records where a careless reason would repeat it.
const secret = "hunter2"

func TestDecodeRejects(t *testing.T) {
	const (
		notJSON    = "not valid JSON, or nested too deeply"
		notObject  = "not a JSON object"
		notOne     = "data after the JSON object"
		notNumber  = "neither a number nor a string holding one"
		notLetters = "not three letters"
		noMinor    = "has no minor unit in ISO 4217"
	)
	for name, tc := range map[string]struct {
		value         string
		field, reason string
	}{
		"empty":                       {"", "", "empty"},
		"white space":                 {" \n", "", notJSON},
		"null":                        {"null", "", notObject},
		"an array":                    {"[" + record("id", `"hunter2"`) + "]", "", notObject},
		"a string":                    {`"hunter2"`, "", notObject},
		"a number":                    {"42", "", notObject},
		"no JSON":                     {"hunter2", "", notJSON},
		"cut short":                   {record("id", `"hunter2"`)[:40], "", notJSON},
		"bytes that are not UTF-8":    {record("id", "\"hunter2\xff\""), "", "not UTF-8"},
		"a surrogate's bytes":         {record("id", "\"\xed\xa0\x80\""), "", "not UTF-8"},
		"a byte order mark":           {"\ufeff" + record(), "", notJSON},
		"data after the object":       {record() + "hunter2", "", notOne},
		"two objects":                 {record() + "\n" + record(), "", notOne},
		"a bracket after the object":  {record() + "}", "", notOne},
		"a NUL after the object":      {record() + "\x00", "", notOne},
		"a trailing comma":            {`{"id":"hunter2",}`, "", notJSON},
		"a name without quotes":       {`{hunter2:1}`, "", notJSON},
		"single quotes":               {`{'hunter2':1}`, "", notJSON},
		"a comment":                   {`{/*hunter2*/}`, "", notJSON},
		"a control character":         {record("id", "\"hunter2\n\""), "", notJSON},
		"a bad escape":                {record("id", `"hunter2\x"`), "", notJSON},
		"a bad number that is unused": {record("x", `01`), "", notJSON},
		"NaN":                         {record("amount", `NaN`), "", notJSON},
		"nested beyond all measure":   {record("x", strings.Repeat("[", 1<<18)), "", notJSON},

		"id missing":       {record("id", ``), "id", "missing"},
		"id empty":         {record("id", `""`), "id", "empty"},
		"id null":          {record("id", `null`), "id", "not a string"},
		"id a number":      {record("id", `7`), "id", "not a string"},
		"id last is bad":   {record()[:len(record())-1] + `,"id":7}`, "id", "not a string"},
		"id in other case": {record("id", ``, "Id", `"hunter2"`), "id", "missing"},

		"currency missing":               {record("currency", ``), "currency", "missing"},
		"currency null":                  {record("currency", `null`), "currency", "not a string"},
		"currency a number":              {record("currency", `840`), "currency", "not a string"},
		"currency empty":                 {record("currency", `""`), "currency", notLetters},
		"currency with digits":           {record("currency", `"US1"`), "currency", notLetters},
		"currency too long":              {record("currency", `"hunter2"`), "currency", notLetters},
		"currency with space":            {record("currency", `"usd "`), "currency", notLetters},
		"currency not in ASCII":          {record("currency", `"ÜS"`), "currency", notLetters},
		"currency of letters by folding": {record("currency", `"uſd"`), "currency", notLetters},

		"amount missing":                    {record("amount", ``), "amount", "missing"},
		"amount null":                       {record("amount", `null`), "amount", notNumber},
		"amount a bool":                     {record("amount", `true`), "amount", notNumber},
		"amount an object":                  {record("amount", `{"value":1}`), "amount", notNumber},
		"amount an empty string":            {record("amount", `""`), "amount", notNumber},
		"amount a word":                     {record("amount", `"hunter2"`), "amount", notNumber},
		"amount NaN in a string":            {record("amount", `"NaN"`), "amount", notNumber},
		"amount Infinity in a string":       {record("amount", `"Infinity"`), "amount", notNumber},
		"amount with space before":          {record("amount", `" 1"`), "amount", notNumber},
		"amount with space after":           {record("amount", `"1 "`), "amount", notNumber},
		"amount with a plus sign":           {record("amount", `"+1"`), "amount", notNumber},
		"amount with a comma":               {record("amount", `"1,000"`), "amount", notNumber},
		"amount with an underscore":         {record("amount", `"1_000"`), "amount", notNumber},
		"amount in hexadecimal":             {record("amount", `"0x10"`), "amount", notNumber},
		"amount with a leading zero":        {record("amount", `"01"`), "amount", notNumber},
		"amount with nothing before point":  {record("amount", `".5"`), "amount", notNumber},
		"amount with nothing after point":   {record("amount", `"5."`), "amount", notNumber},
		"amount of two numbers":             {record("amount", `"1 2"`), "amount", notNumber},
		"amount negative":                   {record("amount", `-0.01`), "amount", "negative"},
		"amount negative in a string":       {record("amount", `"-1e2"`), "amount", "negative"},
		"amount of 101 characters":          {record("amount", strings.Repeat("9", 101)), "amount", "number of more than 100 characters"},
		"amount of a million characters":    {record("amount", `"`+strings.Repeat("9", 1<<20)+`"`), "amount", "number of more than 100 characters"},
		"amount with exponent 201":          {record("amount", `1e201`), "amount", "number with an exponent beyond 200"},
		"amount with exponent -201":         {record("amount", `1e-201`), "amount", "number with an exponent beyond 200"},
		"amount with an enormous exponent":  {record("amount", `1e99999999999999999999`), "amount", "number with an exponent beyond 200"},
		"amount zero, the exponent too big": {record("amount", `0e1000000000`), "amount", "number with an exponent beyond 200"},

		"faults: the record's before any field's": {`{"id":7} {`, "", notOne},
		"faults: id before currency":              {record("id", `7`, "currency", `7`), "id", "not a string"},
		"faults: currency before amount":          {record("currency", `7`, "amount", `null`), "currency", "not a string"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := payment.Decoder{}.Decode([]byte(tc.value), recordMillis)
			wantRejection(t, got, err, tc.field, tc.reason)
		})
	}

	for _, code := range []string{"XAU", "XXX", "XTS", "XDR", "BTC", "BGN", "ZZZ"} {
		t.Run(code+" in minor units", func(t *testing.T) {
			got, err := payment.Decoder{Units: payment.Minor}.Decode([]byte(record("currency", `"`+code+`"`)), 0)
			wantRejection(t, got, err, "currency", noMinor)
		})
	}
}

func wantRejection(t *testing.T, got *paymentpb.Payment, err error, field, reason string) {
	t.Helper()
	r, ok := errors.AsType[*payment.Rejection](err)
	if !ok || got != nil {
		t.Fatalf("got %v, error %v, want no payment and a *Rejection", got, err)
	}
	if diff := cmp.Diff(&payment.Rejection{Field: field, Reason: reason}, r); diff != "" {
		t.Errorf("rejection (-want +got):\n%s", diff)
	}
	if !strings.Contains(err.Error(), field) {
		t.Errorf("%q does not name the field %q", err, field)
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("%q repeats the record's content", err)
	}
}

func TestDecodeMaxBytes(t *testing.T) {
	value := []byte(record())
	if _, err := (payment.Decoder{MaxBytes: len(value)}).Decode(value, 0); err != nil {
		t.Errorf("a value just within the bound: %v", err)
	}
	got, err := payment.Decoder{MaxBytes: len(value) - 1}.Decode(value, 0)
	wantRejection(t, got, err, "", fmt.Sprintf("larger than %d bytes", len(value)-1))
}

func TestDecodeKeepsNothingOfTheValue(t *testing.T) {
	value := []byte(record("id", `"\u0061b"`, "metadata", `{"a":{ "b":1 },"c":"d"}`))
	before := slices.Clone(value)
	got, err := payment.Decoder{}.Decode(value, recordMillis)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, value); diff != "" {
		t.Errorf("Decode changed the value (-before +after):\n%s", diff)
	}
	copied := proto.CloneOf(got)
	for i := range value {
		value[i] = '#'
	}
	if diff := cmp.Diff(copied, got, protocmp.Transform()); diff != "" {
		t.Errorf("the payment changed with the value (-before +after):\n%s", diff)
	}
}

func TestDecodeConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			id := strings.Repeat(fmt.Sprint(i), 10*i+1)
			value := []byte(record("id", `"\u0061`+id+`"`, "metadata", `{"id":"`+id+`"}`))
			for range 200 {
				got, err := payment.Decoder{}.Decode(value, 0)
				if err != nil || got.GetId() != "a"+id || got.GetMetadata()["id"] != id {
					t.Errorf("got %v, %v, want id %q", got, err, "a"+id)
					return
				}
			}
		})
	}
	wg.Wait()
}
