package producer_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"paystream/gen/payment"
	"paystream/payment"
	"paystream/producer"
)

var at = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func TestSamplesArePayments(t *testing.T) {
	for _, units := range []payment.Units{payment.Auto, payment.Major, payment.Minor} {
		t.Run(units.String(), func(t *testing.T) {
			sampler := producer.NewSampler(1, units)
			ids := map[string]bool{}
			providers := map[paymentpb.Provider]int{}
			statuses := map[paymentpb.PaymentStatus]int{}
			currencies := map[string]int{}
			for range 5000 {
				record := sampler.Next(at)
				p, err := payment.Decoder{Units: units}.Decode(record.Value, at.UnixMilli())
				if err != nil {
					t.Fatalf("%s: %v", record.Value, err)
				}
				if p.GetId() != record.Key || ids[p.GetId()] {
					t.Fatalf("key %q, id %q, seen before: %t", record.Key, p.GetId(), ids[p.GetId()])
				}
				if p.AmountMinor == nil || p.GetAmountMinor() <= 0 || p.GetCreatedAt() != at.Unix() {
					t.Fatalf("%s gave %v", record.Value, p)
				}
				checkDetails(t, p)
				if !record.Time.Equal(at) {
					t.Fatalf("the record's time is %v", record.Time)
				}
				ids[p.GetId()] = true
				providers[p.GetProvider()]++
				statuses[p.GetStatus()]++
				currencies[p.GetCurrency()]++
			}
			if len(providers) != 3 || providers[paymentpb.Provider_PROVIDER_UNKNOWN] > 0 {
				t.Errorf("providers: %v", providers)
			}
			if len(statuses) != 4 || statuses[paymentpb.PaymentStatus_STATUS_UNKNOWN] > 0 {
				t.Errorf("statuses: %v", statuses)
			}
			for _, code := range []string{"USD", "EUR", "GBP", "INR", "JPY", "AUD", "CAD", "CHF", "SGD", "KWD"} {
				if currencies[code] < 10 {
					t.Errorf("%d payments in %s: %v", currencies[code], code, currencies)
				}
			}
		})
	}
}

// checkDetails checks what all samples have, in any state.
func checkDetails(t *testing.T, p *paymentpb.Payment) {
	t.Helper()
	if !strings.HasSuffix(p.GetCustomerEmail(), "@example.com") {
		t.Fatalf("a stranger's address: %s", p.GetCustomerEmail())
	}
	m := p.GetMetadata()
	for _, name := range []string{"order_id", "country", "method", "items"} {
		if m[name] == "" {
			t.Errorf("no %s in %v", name, m)
		}
	}
	if (m["method"] == "card" || m["method"] == "apple_pay") != (m["card_brand"] != "" && len(m["card_last4"]) == 4) {
		t.Errorf("a card, or none? %v", m)
	}
	if (m["failure_reason"] != "") != (p.GetStatus() == paymentpb.PaymentStatus_STATUS_FAILED) ||
		(m["refund_reason"] != "") != (p.GetStatus() == paymentpb.PaymentStatus_STATUS_REFUNDED) {
		t.Errorf("%v with the metadata %v", p.GetStatus(), m)
	}
}

// Most payments are small, some are large, none absurd; and they end as prices do.
func TestAmountsAreThoseOfShops(t *testing.T) {
	sampler := producer.NewSampler(3, payment.Auto)
	amounts := map[string][]float64{}
	whole := 0
	for range 5000 {
		p, err := payment.Decoder{}.Decode(sampler.Next(at).Value, 0)
		if err != nil {
			t.Fatal(err)
		}
		amounts[p.GetCurrency()] = append(amounts[p.GetCurrency()], p.GetAmount())
		if p.GetAmountMinor()%100 == 0 {
			whole++
		}
	}
	for currency, typical := range map[string]float64{"USD": 45, "EUR": 42, "INR": 1450, "JPY": 4800} {
		of := amounts[currency]
		slices.Sort(of)
		if median := of[len(of)/2]; median < typical*0.7 || median > typical*1.4 {
			t.Errorf("half of the payments in %s are below %v", currency, median)
		}
		if largest := of[len(of)-1]; largest < 5*typical {
			t.Errorf("none in %s is above %v", currency, largest)
		}
	}
	if whole < 500 || whole > 3500 {
		t.Errorf("%d of 5000 are whole", whole)
	}
}

// Whoever sets AMOUNT_UNITS otherwise than produce did may do so between auto and major.
func TestAmountsAreTheSameInAutoAndMajor(t *testing.T) {
	sampler := producer.NewSampler(1, payment.Auto)
	for range 5000 {
		value := sampler.Next(at).Value
		auto, err := payment.Decoder{Units: payment.Auto}.Decode(value, 0)
		if err != nil {
			t.Fatal(err)
		}
		major, err := payment.Decoder{Units: payment.Major}.Decode(value, 0)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(auto, major, protocmp.Transform()); diff != "" {
			t.Fatalf("%s\n%s", value, diff)
		}
		if math.Abs(auto.GetAmount()) > 1e6 {
			t.Errorf("%s: not everyday's money", value)
		}
	}
}

func TestTheSameSeedGivesTheSameRecords(t *testing.T) {
	one, same, other := producer.NewSampler(7, payment.Auto), producer.NewSampler(7, payment.Auto), producer.NewSampler(8, payment.Auto)
	for i := range 100 {
		a, b, c := one.Next(at), same.Next(at), other.Next(at)
		if i%10 == 9 {
			a, b, c = one.Bad(at), same.Bad(at), other.Bad(at)
		}
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatal(diff)
		}
		if cmp.Equal(a, c) {
			t.Fatalf("two seeds gave %s", a.Value)
		}
	}
}

func TestBadRecordsAreBad(t *testing.T) {
	sampler := producer.NewSampler(1, payment.Auto)
	reasons := map[string]bool{}
	for range 70 {
		record := sampler.Bad(at)
		p, err := payment.Decoder{}.Decode(record.Value, 0)
		if err == nil {
			t.Fatalf("%q is the payment %v", record.Value, p)
		}
		if record.Key == "" {
			t.Errorf("%q has no key", record.Value)
		}
		reasons[err.Error()] = true
	}
	if len(reasons) < 5 {
		t.Errorf("only these reasons: %v", reasons)
	}
}
