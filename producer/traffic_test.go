package producer_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"paystream/gen/payment"
	"paystream/payment"
	"paystream/producer"
)

const (
	pending   = paymentpb.PaymentStatus_STATUS_PENDING
	completed = paymentpb.PaymentStatus_STATUS_COMPLETED
	failed    = paymentpb.PaymentStatus_STATUS_FAILED
	refunded  = paymentpb.PaymentStatus_STATUS_REFUNDED
)

// follows says which states a payment may be in before one; 0 is that it begins there.
var follows = map[paymentpb.PaymentStatus][]paymentpb.PaymentStatus{
	pending:   {0},
	completed: {0, pending},
	failed:    {0, pending},
	refunded:  {completed},
}

// life checks that each payment of the records is one payment, whose states follow one another, and
// returns the payments' last states.
func life(t *testing.T, records []producer.Record) map[string]*paymentpb.Payment {
	t.Helper()
	last := map[string]*paymentpb.Payment{}
	for i, record := range records {
		p, err := payment.Decoder{}.Decode(record.Value, record.Time.UnixMilli())
		if err != nil {
			t.Fatalf("%s: %v", record.Value, err)
		}
		if p.GetId() != record.Key {
			t.Fatalf("key %q, id %q", record.Key, p.GetId())
		}
		checkDetails(t, p)
		before := last[p.GetId()]
		allowed := false
		for _, st := range follows[p.GetStatus()] {
			allowed = allowed || st == before.GetStatus()
		}
		if !allowed {
			t.Fatalf("record %d: %s goes from %v to %v", i, p.GetId(), before.GetStatus(), p.GetStatus())
		}
		if before != nil {
			same := proto.CloneOf(p)
			same.Status, same.ProcessedAt = before.GetStatus(), before.GetProcessedAt()
			for _, reason := range []string{"failure_reason", "refund_reason"} {
				delete(same.Metadata, reason)
			}
			if diff := cmp.Diff(before, same, protocmp.Transform()); diff != "" {
				t.Fatalf("%s became another payment:\n%s", p.GetId(), diff)
			}
		}
		if i > 0 && record.Time.Before(records[i-1].Time) {
			t.Fatalf("record %d is of %v, the one before it of %v", i, record.Time, records[i-1].Time)
		}
		last[p.GetId()] = p
	}
	return last
}

func TestTrafficGoesThroughStates(t *testing.T) {
	traffic := producer.NewTraffic(1, payment.Auto)
	records := make([]producer.Record, 10_000)
	for i := range records {
		records[i] = traffic.Next(at.Add(time.Duration(i) * 500 * time.Millisecond))
		if want := at.Add(time.Duration(i) * 500 * time.Millisecond); !records[i].Time.Equal(want) {
			t.Fatalf("record %d is of %v, want %v", i, records[i].Time, want)
		}
	}
	last := life(t, records)
	counts := map[paymentpb.PaymentStatus]int{}
	for _, p := range last {
		counts[p.GetStatus()]++
	}
	of := float64(len(last))
	for st, share := range map[paymentpb.PaymentStatus][2]float64{
		pending: {0.0001, 0.05}, completed: {0.75, 0.95}, failed: {0.04, 0.15}, refunded: {0.01, 0.1},
	} {
		if got := float64(counts[st]) / of; got < share[0] || got > share[1] {
			t.Errorf("%v: %.3f of the payments, want %v: %v", st, got, share, counts)
		}
	}
	if perPayment := float64(len(records)) / of; perPayment < 1.4 || perPayment > 2.2 {
		t.Errorf("%.2f records a payment", perPayment)
	}
}

func TestHistory(t *testing.T) {
	const n = 600
	traffic := producer.NewTraffic(2, payment.Auto)
	from, to := at.Add(-30*time.Minute), at
	records := traffic.History(n, from, to)
	last := life(t, records)
	if len(last) != n || len(records) < n*3/2 {
		t.Errorf("%d records of %d payments, want %d payments in several states", len(records), len(last), n)
	}
	perMinute := map[int]int{}
	for _, r := range records {
		if r.Time.Before(from) || r.Time.After(to) {
			t.Errorf("%s is of %v", r.Key, r.Time)
		}
		perMinute[int(r.Time.Sub(from)/time.Minute)]++
	}
	least, most := n, 0
	for minute := range 30 {
		least, most = min(least, perMinute[minute]), max(most, perMinute[minute])
	}
	if least < 5 || most < 2*least {
		t.Errorf("between %d and %d records a minute: neither gaps nor a metronome are wanted", least, most)
	}

	// What is still open goes on.
	for i := range 200 {
		records = append(records, traffic.Next(to.Add(time.Duration(i)*time.Second)))
	}
	for id, p := range life(t, records) {
		if p.GetStatus() == pending && time.Unix(p.GetProcessedAt(), 0).Before(to.Add(-10*time.Minute)) {
			t.Errorf("%s has been pending since %v", id, time.Unix(p.GetProcessedAt(), 0))
		}
	}
}

func TestHistoryOfNothing(t *testing.T) {
	if records := producer.NewTraffic(1, payment.Auto).History(0, at, at); len(records) != 0 {
		t.Errorf("got %d records", len(records))
	}
}

func TestTheSameSeedGivesTheSameTraffic(t *testing.T) {
	traffic := func(seed uint64) []producer.Record {
		shop := producer.NewTraffic(seed, payment.Minor)
		records := shop.History(50, at.Add(-time.Minute), at)
		for i := range 100 {
			records = append(records, shop.Next(at.Add(time.Duration(i)*time.Second)))
		}
		return records
	}
	if diff := cmp.Diff(traffic(7), traffic(7)); diff != "" {
		t.Error(diff)
	}
	if cmp.Equal(traffic(7), traffic(8)) {
		t.Error("two seeds gave the same")
	}
}

// Payments that begin faster than any is settled are not all remembered, and none is left pending
// for that.
func TestTrafficAtARushIsBounded(t *testing.T) {
	traffic := producer.NewTraffic(1, payment.Auto)
	records := make([]producer.Record, 30_000)
	for i := range records {
		records[i] = traffic.Next(at)
	}
	begun := life(t, records)
	open := 0
	for _, p := range begun {
		if p.GetStatus() == pending {
			open++
		}
	}
	if open > 10_000 || open < 5_000 {
		t.Errorf("%d payments are pending", open)
	}
	settled := 0
	for range 30_000 {
		if record := traffic.Next(at.Add(time.Hour)); begun[record.Key].GetStatus() == pending {
			settled++
		}
	}
	if settled != open {
		t.Errorf("%d of %d are settled an hour later", settled, open)
	}
}

func BenchmarkTraffic(b *testing.B) {
	traffic := producer.NewTraffic(1, payment.Auto)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		traffic.Next(at.Add(time.Duration(i) * 500 * time.Millisecond))
	}
}

func BenchmarkSampler(b *testing.B) {
	sampler := producer.NewSampler(1, payment.Auto)
	b.ReportAllocs()
	for b.Loop() {
		sampler.Next(at)
	}
}
