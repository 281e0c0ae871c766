package producer

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"paystream/payment"
)

// weighted is one of several things to choose from, and how often it is chosen.
type weighted[T any] struct {
	weight int
	value  T
}

// pick chooses one of the values.
func pick[T any](s *Sampler, all []weighted[T]) T {
	sum := 0
	for _, w := range all {
		sum += w.weight
	}
	n := s.rng.IntN(sum)
	for _, w := range all {
		if n -= w.weight; n < 0 {
			return w.value
		}
	}
	panic("weights have a sum") // n was below it
}

// provider is how one provider writes its payments.
type provider struct {
	name       string
	statuses   [4]string // by state
	amount     func(string) any
	time       func(time.Time) any
	currencies []weighted[currency]
	methods    []weighted[string]
}

// currency is one in which a sample may be: its minor unit's digits, and what half of the payments
// are below, in major units.
type currency struct {
	code      string
	digits    int
	median    float64
	countries []weighted[string]
}

var (
	usd = currency{"USD", 2, 45, []weighted[string]{{9, "US"}, {1, "PR"}}}
	eur = currency{"EUR", 2, 42, []weighted[string]{{4, "DE"}, {3, "FR"}, {2, "ES"}, {2, "IT"}, {1, "NL"}, {1, "IE"}}}
	gbp = currency{"GBP", 2, 36, []weighted[string]{{1, "GB"}}}
	inr = currency{"INR", 2, 1450, []weighted[string]{{1, "IN"}}}
	jpy = currency{"JPY", 0, 4800, []weighted[string]{{1, "JP"}}}
	aud = currency{"AUD", 2, 60, []weighted[string]{{1, "AU"}}}
	cad = currency{"CAD", 2, 55, []weighted[string]{{1, "CA"}}}
	chf = currency{"CHF", 2, 48, []weighted[string]{{6, "CH"}, {1, "LI"}}}
	sgd = currency{"SGD", 2, 52, []weighted[string]{{1, "SG"}}}
	kwd = currency{"KWD", 3, 12, []weighted[string]{{1, "KW"}}}

	providers = []weighted[provider]{
		{50, provider{
			name:       "stripe",
			statuses:   [...]string{"processing", "succeeded", "failed", "refunded"},
			amount:     func(text string) any { return json.Number(text) },
			time:       func(t time.Time) any { return t.Unix() },
			currencies: []weighted[currency]{{44, usd}, {22, eur}, {12, gbp}, {8, jpy}, {5, cad}, {4, chf}, {3, sgd}, {2, kwd}},
			methods:    []weighted[string]{{7, "card"}, {2, "apple_pay"}, {1, "link"}},
		}},
		{22, provider{
			name:       "Razorpay",
			statuses:   [...]string{"pending", "paid", "failed", "refunded"},
			amount:     func(text string) any { return text },
			time:       func(t time.Time) any { return t.UnixMilli() },
			currencies: []weighted[currency]{{86, inr}, {9, usd}, {5, sgd}},
			methods:    []weighted[string]{{5, "upi"}, {3, "card"}, {1, "netbanking"}},
		}},
		{28, provider{
			name:       "PAYPAL",
			statuses:   [...]string{"PENDING", "COMPLETED", "DECLINED", "REFUNDED"},
			amount:     func(text string) any { return text },
			time:       func(t time.Time) any { return t.UTC().Format(time.RFC3339) },
			currencies: []weighted[currency]{{46, usd}, {26, eur}, {14, gbp}, {8, aud}, {6, cad}},
			methods:    []weighted[string]{{6, "balance"}, {3, "card"}, {1, "pay_later"}},
		}},
	}

	brands       = []weighted[string]{{56, "visa"}, {32, "mastercard"}, {12, "amex"}}
	cardFailures = []weighted[string]{
		{38, "insufficient_funds"},
		{22, "do_not_honor"},
		{14, "authentication_failed"},
		{11, "expired_card"},
		{9, "incorrect_cvc"},
		{6, "suspected_fraud"},
	}
	otherFailures = []weighted[string]{{40, "insufficient_funds"}, {25, "authentication_failed"}, {20, "canceled_by_customer"}, {15, "timed_out"}}
	refunds       = []weighted[string]{{6, "requested_by_customer"}, {2, "out_of_stock"}, {1, "damaged_on_arrival"}, {1, "duplicate"}}
	cities        = map[string][]string{
		"US": {"Boston", "Austin", "Seattle"}, "DE": {"Berlin", "Köln"}, "FR": {"Lyon", "Paris"}, "GB": {"Leeds", "London"},
		"IN": {"Pune", "Chennai", "Jaipur"}, "JP": {"Kyōto", "Ōsaka"}, "AU": {"Perth"}, "CA": {"Montréal"}, "CH": {"Zürich"},
	}

	firstNames = [...]string{
		"ada", "alan", "anita", "barbara", "claude", "dennis", "edsger", "frances", "grace", "hedy", "katherine", "ken", "leslie", "margaret", "niklaus",
		"radia", "raj", "tony",
	}
	lastNames = [...]string{
		"allen", "bose", "borg", "hamilton", "hoare", "hopper", "johnson", "lamarr", "lamport", "liskov", "lovelace", "perlman", "ritchie", "shannon",
		"thompson", "turing", "wirth",
	}
)

// amount is a price as shops make them: many small ones, few large ones, and most of them end in
// .00, .50, .95 or .99.
func (s *Sampler) amount(cur currency) string {
	unit := int64(math.Pow10(cur.digits))
	price := cur.median * math.Exp(0.9*s.rng.NormFloat64())
	price = min(max(price, cur.median/20), cur.median*60)
	minor := int64(math.Round(price)) * unit
	switch n := s.rng.IntN(10); {
	case cur.digits == 0:
		minor = minor / 10 * 10
	case n < 4:
		minor -= unit / 100
	case n < 5:
		minor += unit / 2
	case n < 6:
		minor -= unit / 20
	case n < 8:
		minor += s.rng.Int64N(unit)
	}
	minor = max(minor, 1)
	switch cur.code {
	case "USD", "EUR", "GBP":
		if minor%unit == 0 && minor >= 100*unit {
			minor-- // Auto would take 150.00 for cents; 149.99 it can't
		}
	}
	if s.units == payment.Minor || cur.digits == 0 {
		return strconv.FormatInt(minor, 10)
	}
	return fmt.Sprintf("%d.%0*d", minor/unit, cur.digits, minor%unit)
}

func (s *Sampler) id() string {
	const letters = "0123456789abcdefghjkmnpqrstvwxyz" // none that look alike
	id := []byte("pay_................")
	for i := range 16 {
		id[4+i] = letters[s.rng.IntN(len(letters))]
	}
	return string(id)
}

func (s *Sampler) email() string {
	first, last := firstNames[s.rng.IntN(len(firstNames))], lastNames[s.rng.IntN(len(lastNames))]
	if s.rng.IntN(3) == 0 {
		return fmt.Sprintf("%s.%s@example.com", first, last)
	}
	return fmt.Sprintf("%s.%s%d@example.com", first, last, 1+s.rng.IntN(99))
}

// method is how the customer pays, to the provider.
func (s *Sampler) method(from provider, cur currency) string {
	method := pick(s, from.methods)
	if (method == "upi" || method == "netbanking") && cur.code != "INR" {
		return "card"
	}
	return method
}

// failure is why a payment by that method fails.
func (s *Sampler) failure(method string) string {
	if isCard(method) {
		return pick(s, cardFailures)
	}
	return pick(s, otherFailures)
}

func isCard(method string) bool { return method == "card" || method == "apple_pay" }

// metadata is what shops hang on a payment: texts, and also numbers, booleans and objects.
func (s *Sampler) metadata(method string, cur currency) map[string]any {
	country := pick(s, cur.countries)
	m := map[string]any{
		"order_id": "ord_" + strings.ToUpper(strconv.FormatInt(36*36*36*36*36*36+s.rng.Int64N(1<<32), 36)), // seven characters
		"country":  country,
		"method":   method,
		"items":    1 + int(s.rng.ExpFloat64()*1.5),
	}
	if isCard(method) {
		m["card_brand"] = pick(s, brands)
		m["card_last4"] = fmt.Sprintf("%04d", s.rng.IntN(10000))
	}
	if s.rng.IntN(8) == 0 {
		m["gift"] = true
	}
	if towns := cities[country]; len(towns) > 0 && s.rng.IntN(4) == 0 {
		m["shipping"] = map[string]any{"city": towns[s.rng.IntN(len(towns))], "express": s.rng.IntN(3) == 0}
	}
	return m
}
