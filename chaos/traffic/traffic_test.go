package traffic_test

import (
	"testing"

	"paystream/chaos/judge"
	"paystream/chaos/traffic"
	"paystream/payment"
)

// TestRecordsAreWhatTheyAreTakenFor holds every record to the gateway's own decoder: a bad one that is
// good would be a finding of the judge's, and a good one that is bad another.
func TestRecordsAreWhatTheyAreTakenFor(t *testing.T) {
	t.Parallel()
	decoder := payment.Decoder{Units: payment.Minor, MaxBytes: traffic.MaxRecordBytes}
	kinds := map[judge.Kind]int{}
	reasons := map[string]bool{}
	for r := range traffic.Samples("pay", 5000) {
		kinds[r.Kind]++
		if r.Kind == judge.Tombstone {
			if r.Value != nil || len(r.Key) == 0 {
				t.Errorf("a tombstone of %q with %q", r.Key, r.Value)
			}
			continue
		}
		p, err := decoder.Decode(r.Value, 1)
		if good := err == nil; good != (r.Kind == judge.Payment) {
			t.Errorf("kind %d, but decoding it gives %v: %.100q", r.Kind, err, r.Value)
		}
		if err != nil {
			reasons[err.Error()] = true
			continue
		}
		if got := traffic.Print([]byte(p.GetId()), p.GetAmountMinor()); got != r.Print || string(r.Key) != p.GetId() {
			t.Errorf("%v is not what was written: %q %s", p, r.Key, r.Value)
		}
	}
	if kinds[judge.Payment] != 4950 || kinds[judge.Tombstone] != 5 || kinds[judge.Bad] != 45 {
		t.Errorf("kinds %v", kinds)
	}
	if len(reasons) < 15 {
		t.Errorf("only %d reasons to be bad: %v", len(reasons), reasons)
	}
}
