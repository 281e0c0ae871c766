package payment_test

import (
	"math"
	"testing"

	"google.golang.org/protobuf/proto"

	"paystream/gen/payment"
	"paystream/payment"
)

func TestFormatAmount(t *testing.T) {
	for name, tc := range map[string]struct {
		amount   float64
		minor    *int64
		currency string
		want     string
	}{
		"dollars":                            {50, proto.Int64(5000), "USD", "$50.00 USD"},
		"rupees, grouped":                    {1500, proto.Int64(150000), "INR", "₹1,500.00 INR"},
		"yen have no digits":                 {500, proto.Int64(500), "JPY", "¥500 JPY"},
		"no well-known symbol, three digits": {50, proto.Int64(50000), "KWD", "50.000 KWD"},
		"four digits":                        {1.5, proto.Int64(15000), "CLF", "1.5000 CLF"},
		"less than one":                      {0.05, proto.Int64(5), "EUR", "€0.05 EUR"},
		"less than one, three digits":        {0.005, proto.Int64(5), "KWD", "0.005 KWD"},
		"zero":                               {0, proto.Int64(0), "USD", "$0.00 USD"},
		"millions":                           {1234567.89, proto.Int64(123456789), "GBP", "£1,234,567.89 GBP"},
		"yen by the thousand":                {100000, proto.Int64(100000), "JPY", "¥100,000 JPY"},
		"the exact one, not the double":      {0.1, proto.Int64(1234567890123456789), "USD", "$12,345,678,901,234,567.89 USD"},
		"the greatest":                       {0, proto.Int64(math.MaxInt64), "USD", "$92,233,720,368,547,758.07 USD"},
		"negative":                           {-50, proto.Int64(-5), "USD", "-$0.05 USD"},
		"the most negative":                  {0, proto.Int64(math.MinInt64), "JPY", "-¥9,223,372,036,854,775,808 JPY"},

		"the double, padded":                    {1234.5, nil, "USD", "$1,234.50 USD"},
		"the double, with all of its digits":    {19.999, nil, "USD", "$19.999 USD"},
		"the double, negative":                  {-1234.5, nil, "USD", "-$1,234.50 USD"},
		"the double, too great for minor units": {1e20, nil, "USD", "$100,000,000,000,000,000,000.00 USD"},
		"the double, beyond reading":            {1e295, nil, "USD", "$1e+295 USD"},
		"the double, next to nothing":           {1e-200, nil, "USD", "$1e-200 USD"},
		"not a number":                          {math.NaN(), nil, "USD", "$NaN USD"},
		"a currency not in ISO 4217":            {0.00012345, nil, "BTC", "0.00012345 BTC"},
		"a whole amount of one":                 {5000, nil, "BTC", "5,000 BTC"},
		"minor units without a currency for it": {5, proto.Int64(500), "BTC", "5 BTC"},
		"a currency without minor units":        {2, nil, "XAU", "2 XAU"},
		"no currency":                           {5, nil, "", "5"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &paymentpb.Payment{Amount: tc.amount, AmountMinor: tc.minor, Currency: tc.currency}
			if got := payment.FormatAmount(p); got != tc.want {
				t.Errorf("FormatAmount(%v) = %q, want %q", p, got, tc.want)
			}
		})
	}
	if got := payment.FormatAmount(nil); got != "0" {
		t.Errorf("FormatAmount(nil) = %q", got)
	}
}
