package payment

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"slices"
	"testing"

	"paystream/gen/payment"
)

var update = flag.Bool("update", false, "write testdata/amounts.json anew")

// amountCase is an amount as FormatAmount writes it. The client library's tests read these: both write
// the same text.
type amountCase struct {
	Amount   float64 `json:"amount"`
	Minor    *int64  `json:"minor,omitempty,string"`
	Currency string  `json:"currency"`
	Text     string  `json:"text"`
}

func TestGoldenAmounts(t *testing.T) {
	var lines [][]byte
	for _, tc := range amountCases() {
		line, err := json.Marshal(tc)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	got := slices.Concat([]byte("[\n"), bytes.Join(lines, []byte(",\n")), []byte("\n]\n"))
	const path = "testdata/amounts.json"
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what FormatAmount writes: go test ./payment -run Golden -update", path)
	}
}

// amountCases returns an amount in each currency of ISO 4217 and in some that are not, and odd amounts.
func amountCases() []amountCase {
	var cases []amountCase
	add := func(amount float64, minor *int64, currency string) {
		p := &paymentpb.Payment{Amount: amount, AmountMinor: minor, Currency: currency}
		cases = append(cases, amountCase{Amount: amount, Minor: minor, Currency: currency, Text: FormatAmount(p)})
	}
	currencies := []string{"BGN", "BTC", "XAU", "XTS", ""}
	for code := range iso4217 {
		currencies = append(currencies, code)
	}
	slices.Sort(currencies)
	for _, currency := range currencies {
		add(0, new(int64(1234567)), currency)
		add(1234.5, nil, currency)
	}
	for _, minor := range []int64{0, 5, -5, 99, 100, -123456, math.MaxInt64, math.MinInt64} {
		for _, currency := range []string{"USD", "JPY", "KWD", "CLF", "CHF"} {
			add(0, new(minor), currency)
		}
	}
	for _, amount := range []float64{
		0, 5, 19.999, -1234.5, 0.1, 1e-7, 1.5e-7, 1.25e-9, 1e-9, 9e-10, 1e-200, 0.00012345,
		1e20, 123456789012345680000, 1e21, 1e295, math.MaxFloat64, math.SmallestNonzeroFloat64,
	} {
		for _, currency := range []string{"USD", "JPY", "KWD", "BTC"} {
			add(amount, nil, currency)
		}
	}
	return cases
}
