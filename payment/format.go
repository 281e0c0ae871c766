package payment

import (
	"math"
	"strconv"
	"strings"

	"paystream/gen/payment"
)

// symbols are the signs that people know the currencies by. Several share one: the code, which
// always follows the number, tells them apart.
var symbols = map[string]string{
	"AUD": "$", "BDT": "৳", "BRL": "R$", "CAD": "$", "CNY": "¥", "CRC": "₡", "EUR": "€", "GBP": "£",
	"GEL": "₾", "GHS": "₵", "HKD": "$", "ILS": "₪", "INR": "₹", "JPY": "¥", "KRW": "₩", "KZT": "₸",
	"MXN": "$", "NGN": "₦", "NZD": "$", "PHP": "₱", "PYG": "₲", "SGD": "$", "THB": "฿", "TRY": "₺",
	"UAH": "₴", "USD": "$", "VND": "₫",
}

// FormatAmount writes a payment's amount for people: "$50.00 USD", "₹1,500.00 INR", "¥500 JPY",
// "50.000 KWD". It takes the exact amount_minor where that is set, else the double. It does not
// round: a fraction longer than the currency's minor unit is shown as it is.
func FormatAmount(p *paymentpb.Payment) string {
	cur := iso4217[p.GetCurrency()]
	var sign, number string
	if cur.hasMinor && p != nil && p.AmountMinor != nil {
		sign, number = minorText(p.GetAmountMinor(), cur.digits)
	} else {
		sign, number = doubleText(p.GetAmount(), cur.digits)
	}
	return strings.TrimSpace(sign + symbols[cur.code] + number + " " + p.GetCurrency())
}

func minorText(minor int64, digits int) (sign, number string) {
	number, negative := strings.CutPrefix(strconv.FormatInt(minor, 10), "-")
	if negative {
		sign = "-"
	}
	number = strings.Repeat("0", max(0, digits+1-len(number))) + number
	point := len(number) - digits
	return sign, grouped(number[:point], number[point:])
}

func doubleText(amount float64, digits int) (sign, number string) {
	if amount < 0 {
		sign, amount = "-", -amount
	}
	if amount >= 1e21 || amount != 0 && amount < 1e-9 || math.IsNaN(amount) {
		return sign, strconv.FormatFloat(amount, 'g', -1, 64)
	}
	whole, fraction, _ := strings.Cut(strconv.FormatFloat(amount, 'f', -1, 64), ".")
	return sign, grouped(whole, fraction+strings.Repeat("0", max(0, digits-len(fraction))))
}

// grouped joins the digits before and after the decimal point, with a comma between thousands.
func grouped(whole, fraction string) string {
	var b strings.Builder
	for i, c := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	if fraction != "" {
		b.WriteByte('.')
		b.WriteString(fraction)
	}
	return b.String()
}
