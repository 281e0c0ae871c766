package fault_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paystream/chaos/fault"
)

func TestTheSameSeedGivesTheSameSchedule(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		one, two := fault.Storm(seed, 5*time.Minute, false), fault.Storm(seed, 5*time.Minute, false)
		if diff := cmp.Diff(one, two); diff != "" {
			t.Fatalf("seed %d:\n%s", seed, diff)
		}
		if diff := cmp.Diff(fault.Alone(seed, false), fault.Alone(seed, false)); diff != "" {
			t.Fatalf("seed %d:\n%s", seed, diff)
		}
	}
	if cmp.Equal(fault.Storm(1, 5*time.Minute, false), fault.Storm(2, 5*time.Minute, false)) {
		t.Error("two seeds give one schedule")
	}
}

// TestAChoiceChangesNoOther has a fault be the same one whether it is run among all or by itself.
func TestAChoiceChangesNoOther(t *testing.T) {
	t.Parallel()
	for _, s := range fault.Alone(7, false) {
		if diff := cmp.Diff([]fault.Step{s}, fault.Alone(7, false, s.Fault)); diff != "" {
			t.Errorf("%s:\n%s", s.Fault, diff)
		}
	}
}

func TestStormFitsItsTime(t *testing.T) {
	t.Parallel()
	const length = 4 * time.Minute
	seen := map[string]bool{}
	for seed := range uint64(30) {
		for _, s := range fault.Storm(seed, length, seed%2 == 0) {
			if s.At+s.Hold > length || s.Hold <= 0 {
				t.Errorf("seed %d: %v", seed, s)
			}
			seen[s.Fault] = true
		}
	}
	if len(seen) < 10 {
		t.Errorf("only %d kinds of faults: %v", len(seen), seen)
	}
}

// TestTheTopicIsMadeAnewOnce has nothing else begin while it is, in the middle of a storm.
func TestTheTopicIsMadeAnewOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		steps := fault.Storm(seed, 4*time.Minute, false)
		times := 0
		for i, s := range steps {
			if s.Fault != "recreate" {
				continue
			}
			times++
			if i == 0 || i == len(steps)-1 || steps[i+1].At < s.At+s.Hold {
				t.Errorf("seed %d: %v is step %d of %d, before %v", seed, s, i, len(steps), steps[min(i+1, len(steps)-1)])
			}
		}
		if times != 1 {
			t.Errorf("seed %d: it is made anew %d times", seed, times)
		}
	}
}

func TestFaultsHaveNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range fault.All() {
		if f.Name == "" || f.Title == "" || f.Hold == 0 || seen[f.Name] {
			t.Errorf("%+v", f)
		}
		seen[f.Name] = true
	}
}
