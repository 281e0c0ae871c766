package payment_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"paystream/gen/payment"
	"paystream/payment"
)

var (
	numberText   = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	exponentText = regexp.MustCompile(`[eE][+-]?0*([0-9]*)$`)
	currencyText = regexp.MustCompile(`^[A-Za-z]{3}$`)
)

// FuzzDecode compares Decode with a slow reading of the contract by encoding/json and math/big.
func FuzzDecode(f *testing.F) {
	for _, value := range []string{
		benchRecord,
		record(),
		record("amount", `100.50`, "currency", `"usd"`, "timestamp", `"2020-09-13T12:26:40+05:30"`),
		record("amount", `"1.5e2"`, "currency", `"kwd"`, "timestamp", `1600000000999.5`),
		record("amount", `0.1000000000000000055511151231257827021181583404541015625`, "timestamp", `"1e9"`),
		record("amount", `-0`, "metadata", `{"a":{"b":[1, 2 ]},"c":null,"d":"\ud800\u00e9\\","e":-1.0E+2,"f":true}`),
		record("id", `"\ud83d\ude00"`, "provider", `"PAYPAL"`, "metadata", `{"a":"1","a":"2"}`),
		record("amount", `"9223372036854775807"`, "currency", `"jpy"`),
		record("id", `""`), record("amount", `1e201`), record("currency", `"x"`), record() + "{}", "null", "[]",
	} {
		for units := range uint8(3) {
			f.Add([]byte(value), units, int64(recordMillis))
		}
	}
	f.Fuzz(func(t *testing.T, value []byte, units uint8, millis int64) {
		decoder := payment.Decoder{Units: payment.Units(units % 3)}
		before := bytes.Clone(value)
		p, err := decoder.Decode(value, millis)
		if !bytes.Equal(value, before) {
			t.Fatal("Decode changed the value")
		}
		again, errAgain := decoder.Decode(value, millis)
		if !proto.Equal(p, again) || !cmp.Equal(err, errAgain) {
			t.Fatalf("the second time: %v, %v; the first: %v, %v", again, errAgain, p, err)
		}
		want, field := readSlowly(value)
		if err != nil {
			wantFuzzRejection(t, decoder.Units, err, field)
			return
		}
		if field != "good" {
			t.Fatalf("got %v, want a rejection for %q", p, field)
		}
		if p.GetId() != want.id || p.GetCurrency() != want.currency || p.GetCustomerEmail() != want.email {
			t.Errorf("got %v, want %+v", p, want)
		}
		if diff := cmp.Diff(want.metadata, p.GetMetadata()); diff != "" {
			t.Errorf("metadata (-want +got):\n%s", diff)
		}
		wantAmount(t, p, decoder.Units, want.amount)
		if _, err := proto.Marshal(p); err != nil {
			t.Errorf("the payment is no valid message: %v", err)
		}
	})
}

func wantFuzzRejection(t *testing.T, units payment.Units, err error, field string) {
	t.Helper()
	r, ok := errors.AsType[*payment.Rejection](err)
	if !ok {
		t.Fatalf("error %v is no *Rejection", err)
	}
	if units == payment.Minor && strings.HasPrefix(r.Reason, "has no minor unit") {
		field = "currency"
	}
	if r.Field != field {
		t.Errorf("rejected for %v, want %q", r, field)
	}
}

type slowRecord struct {
	id, currency, email string
	metadata            map[string]string
	amount              *big.Rat
}

// readSlowly reads what the contract requires. The field is the first at fault, or "good".
func readSlowly(value []byte) (r slowRecord, field string) {
	var members map[string]json.RawMessage
	if !utf8.Valid(value) || json.Unmarshal(value, &members) != nil || members == nil {
		return r, ""
	}
	text := func(name string) (s string) {
		if raw := members[name]; len(raw) > 0 && raw[0] == '"' {
			_ = json.Unmarshal(raw, &s)
		}
		return s
	}
	if r.id = text("id"); r.id == "" {
		return r, "id"
	}
	if r.currency = strings.ToUpper(text("currency")); !currencyText.MatchString(text("currency")) {
		return r, "currency"
	}
	number := string(members["amount"])
	if strings.HasPrefix(number, `"`) {
		number = text("amount")
	}
	exponent := exponentText.FindStringSubmatch(number)
	if !numberText.MatchString(number) || len(number) > 100 ||
		exponent != nil && (len(exponent[1]) > 3 || len(exponent[1]) == 3 && exponent[1] > "200") {
		return r, "amount"
	}
	if r.amount, _ = new(big.Rat).SetString(number); r.amount.Sign() < 0 {
		return r, "amount"
	}
	r.email = text("customer_email")
	r.metadata = slowMetadata(members["metadata"])
	return r, "good"
}

func slowMetadata(raw json.RawMessage) map[string]string {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || len(members) == 0 {
		return nil
	}
	metadata := make(map[string]string)
	for name, raw := range members {
		switch raw[0] {
		case '"':
			var s string
			_ = json.Unmarshal(raw, &s)
			metadata[name] = s
		case 'n':
			metadata[name] = ""
		default:
			var compact bytes.Buffer
			_ = json.Compact(&compact, raw)
			metadata[name] = compact.String()
		}
	}
	return metadata
}

func wantAmount(t *testing.T, p *paymentpb.Payment, units payment.Units, amount *big.Rat) {
	t.Helper()
	digits, known := map[string]int{"USD": 2, "EUR": 2, "GBP": 2, "CHF": 2, "INR": 2, "JPY": 0, "KWD": 3, "CLF": 4}[p.GetCurrency()]
	if !known {
		return
	}
	scale := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil))
	cents := slices.Contains([]string{"USD", "EUR", "GBP"}, p.GetCurrency()) && amount.IsInt() && amount.Cmp(big.NewRat(100, 1)) >= 0
	if units == payment.Minor || units == payment.Auto && cents {
		amount.Quo(amount, scale)
	}
	if want, _ := amount.Float64(); p.GetAmount() != want {
		t.Errorf("amount = %v, want %v", p.GetAmount(), want)
	}
	minor := amount.Mul(amount, scale)
	exact := minor.IsInt() && minor.Num().IsInt64()
	if (p.AmountMinor != nil) != exact || exact && p.GetAmountMinor() != minor.Num().Int64() {
		t.Errorf("amount_minor = %v, want %v (set: %v)", p.AmountMinor, minor, exact)
	}
}
