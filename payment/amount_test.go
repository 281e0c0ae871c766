package payment_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paystream/payment"
)

func TestDecodeAmount(t *testing.T) {
	const unset = math.MinInt64
	for name, tc := range map[string]struct {
		units    payment.Units
		number   string
		currency string
		amount   float64
		minor    int64
	}{
		"auto: whole from 100 on is cents":             {payment.Auto, `5000`, "usd", 50, 5000},
		"auto: just 100 is cents":                      {payment.Auto, `100`, "usd", 1, 100},
		"auto: 99 is not":                              {payment.Auto, `99`, "usd", 99, 9900},
		"auto: a fraction is not":                      {payment.Auto, `100.50`, "usd", 100.5, 10050},
		"auto: whole by value is":                      {payment.Auto, `100.0`, "usd", 1, 100},
		"auto: whole by exponent is":                   {payment.Auto, `1.5e2`, "usd", 1.5, 150},
		"auto: not whole by exponent is not":           {payment.Auto, `12345e-1`, "usd", 1234.5, 123450},
		"auto: in a string just so":                    {payment.Auto, `"5000"`, "usd", 50, 5000},
		"auto: EUR too":                                {payment.Auto, `100`, "eur", 1, 100},
		"auto: GBP too":                                {payment.Auto, `12345`, "GBP", 123.45, 12345},
		"auto: INR as it stands":                       {payment.Auto, `1500`, "inr", 1500, 150000},
		"auto: JPY as it stands":                       {payment.Auto, `500`, "jpy", 500, 500},
		"auto: no ISO currency as it stands":           {payment.Auto, `5000`, "btc", 5000, unset},
		"auto: zero":                                   {payment.Auto, `0`, "usd", 0, 0},
		"auto: whole beyond 19 digits":                 {payment.Auto, `1000000000000000000000000`, "usd", 1e22, unset},
		"auto: whole beyond 19 digits, all of them":    {payment.Auto, `1234567890123456789012345`, "usd", 12345678901234567890123.45, unset},
		"auto: a fraction beyond 19 digits":            {payment.Auto, `100.000000000000000000000000001`, "usd", 100, unset},
		"minor: two digits":                            {payment.Minor, `5000`, "usd", 50, 5000},
		"minor: less than 100":                         {payment.Minor, `99`, "usd", 0.99, 99},
		"minor: no digits":                             {payment.Minor, `500`, "jpy", 500, 500},
		"minor: three digits":                          {payment.Minor, `500`, "kwd", 0.5, 500},
		"minor: four digits":                           {payment.Minor, `500`, "clf", 0.05, 500},
		"minor: a fraction is exact but has no minor":  {payment.Minor, `50.5`, "usd", 0.505, unset},
		"minor: the greatest":                          {payment.Minor, `9223372036854775807`, "usd", 92233720368547758.07, math.MaxInt64},
		"minor: one more does not fit":                 {payment.Minor, `9223372036854775808`, "usd", 92233720368547758.08, unset},
		"major: two digits":                            {payment.Major, `5000`, "usd", 5000, 500000},
		"major: cents":                                 {payment.Major, `"19.99"`, "usd", 19.99, 1999},
		"major: trailing zeros are no digits":          {payment.Major, `19.9900`, "usd", 19.99, 1999},
		"major: more digits than the currency":         {payment.Major, `19.999`, "usd", 19.999, unset},
		"major: any digit is too many for JPY":         {payment.Major, `0.5`, "jpy", 0.5, unset},
		"major: whole by value for JPY":                {payment.Major, `500.00`, "jpy", 500, 500},
		"major: three digits":                          {payment.Major, `1.234`, "kwd", 1.234, 1234},
		"major: no minor unit in gold":                 {payment.Major, `2`, "xau", 2, unset},
		"major: the greatest":                          {payment.Major, `92233720368547758.07`, "usd", 92233720368547758.07, math.MaxInt64},
		"major: one cent more does not fit":            {payment.Major, `92233720368547758.08`, "usd", 92233720368547758.08, unset},
		"major: far more does not fit":                 {payment.Major, `1e20`, "usd", 1e20, unset},
		"no float on the way: 0.1+0.2 style":           {payment.Major, `1.005`, "bhd", 1.005, 1005},
		"no float on the way: beyond 2^53":             {payment.Major, `90071992547409.93`, "usd", 90071992547409.93, 9007199254740993},
		"no float on the way: 19 digits":               {payment.Major, `"12345678901234567.89"`, "usd", 12345678901234567.89, 1234567890123456789},
		"the double is the nearest: shifted":           {payment.Minor, `9007199254740993`, "usd", 90071992547409.93, 9007199254740993},
		"the double is the nearest: a tie":             {payment.Major, `9007199254740993`, "jpy", 9007199254740992, 9007199254740993},
		"minus zero is zero":                           {payment.Major, `-0.00e5`, "usd", 0, 0},
		"minus zero in a string is zero":               {payment.Minor, `"-0"`, "usd", 0, 0},
		"exponent, capital and signed":                 {payment.Major, `1.25E+3`, "usd", 1250, 125000},
		"exponent with leading zeros":                  {payment.Major, `5e-0002`, "usd", 0.05, 5},
		"many digits and an exponent that undoes them": {payment.Major, `100000000000000000000000e-22`, "usd", 10, 1000},
		"leading zeros of a fraction are no digits":    {payment.Major, `0.000000000000000000000000000005e29`, "usd", 0.5, 50},
		"what Python prints of Decimal(0.1)":           {payment.Major, `0.1000000000000000055511151231257827021181583404541015625`, "usd", 0.1, unset},
		"an escaped string":                            {payment.Major, `"\u0031\u002e5"`, "usd", 1.5, 150},
		"100 characters":                               {payment.Major, strings.Repeat("9", 100), "usd", 1e100, unset},
		"100 characters and the greatest exponent":     {payment.Major, strings.Repeat("9", 95) + "e+200", "usd", 1e295, unset},
		"the smallest exponent":                        {payment.Major, `1e-200`, "usd", 1e-200, unset},
		"the smallest of all":                          {payment.Minor, `0.` + strings.Repeat("0", 92) + `1e-200`, "clf", 1e-297, unset},
		"zero with the greatest exponent":              {payment.Minor, `0e200`, "usd", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			value := record("amount", tc.number, "currency", `"`+tc.currency+`"`)
			p, err := payment.Decoder{Units: tc.units}.Decode([]byte(value), 0)
			if err != nil {
				t.Fatal(err)
			}
			if p.GetAmount() != tc.amount || math.Signbit(p.GetAmount()) {
				t.Errorf("amount = %v, want %v", p.GetAmount(), tc.amount)
			}
			minor := int64(unset)
			if p.AmountMinor != nil {
				minor = p.GetAmountMinor()
			}
			if minor != tc.minor {
				t.Errorf("amount_minor = %d, want %d (%d is unset)", minor, tc.minor, int64(unset))
			}
		})
	}
}

// TestMinorDigits compares the digits with those in ISO 4217 where other sources often differ, and
// counts the currencies of all three-letter codes.
func TestMinorDigits(t *testing.T) {
	scales := map[float64]int{1: 0, 0.1: 1, 0.01: 2, 0.001: 3, 0.0001: 4}
	digits := func(code string) int {
		value := []byte(record("amount", `1`, "currency", `"`+code+`"`))
		p, err := payment.Decoder{Units: payment.Minor}.Decode(value, 0)
		if err != nil {
			return -1
		}
		return scales[p.GetAmount()]
	}
	for code, want := range map[string]int{
		"USD": 2, "EUR": 2, "GBP": 2, "INR": 2, "JPY": 0, "KRW": 0, "VND": 0, "KWD": 3, "BHD": 3, "TND": 3,
		"HUF": 2, "TWD": 2, "IDR": 2, "COP": 2, "CRC": 2, "IQD": 3, "IRR": 2, "LAK": 2, "LBP": 2, "MMK": 2,
		"PKR": 2, "RSD": 2, "SOS": 2, "SYP": 2, "TZS": 2, "YER": 2, "AFN": 2, "ALL": 2, "AMD": 2, "MGA": 2,
		"MRU": 2, "UGX": 0, "ISK": 0, "CLP": 0, "CLF": 4, "UYW": 4, "UYI": 0, "XCG": 2, "ZWG": 2, "SLE": 2,
		"VED": 2, "XAD": 2, "XAF": 0,
		"BGN": -1, "HRK": -1, "ANG": -1, "ZWL": -1, "CUC": -1, "SLL": -1, // withdrawn
		"XAU": -1, "XDR": -1, "XXX": -1, "XTS": -1, // "N.A." in the list
	} {
		if got := digits(code); got != want {
			t.Errorf("%s has %d digits, want %d", code, got, want)
		}
	}

	counts := map[int]int{}
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			for c := 'A'; c <= 'Z'; c++ {
				counts[digits(string([]rune{a, b, c}))]++
			}
		}
	}
	want := map[int]int{0: 17, 2: 139, 3: 7, 4: 2, -1: 26*26*26 - 165}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("currencies by digits (-want +got):\n%s", diff)
	}
}

func TestParseUnits(t *testing.T) {
	for _, u := range []payment.Units{payment.Auto, payment.Minor, payment.Major} {
		if got, err := payment.ParseUnits(u.String()); got != u || err != nil {
			t.Errorf("ParseUnits(%q) = %v, %v", u.String(), got, err)
		}
	}
	for _, s := range []string{"", "Auto", " minor", "cents", "Units(3)"} {
		if u, err := payment.ParseUnits(s); err == nil {
			t.Errorf("ParseUnits(%q) = %v, want an error", s, u)
		}
	}
	if got := payment.Units(9).String(); got != "Units(9)" {
		t.Errorf("String of an invalid value = %q", got)
	}
}
