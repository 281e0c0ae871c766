//go:build linux

package process

import (
	"testing"
	"time"
)

func TestBusyCountsAllButIdle(t *testing.T) {
	t.Parallel()
	// user nice system idle iowait irq softirq steal guest guest_nice
	got, err := busy([]byte("cpu  100 20 300 4000 500 60 7 8 90 10\ncpu0 1 1 1 1\n"))
	if want := 4950 * time.Millisecond; err != nil || got != want {
		t.Errorf("%v, %v; not %v", got, err, want)
	}
	for _, text := range []string{"", "cpu 1 2\n", "intr 1 2 3 4 5 6 7 8 9\n", "cpu a 2 3 4 5 6 7 8\n"} {
		if _, err := busy([]byte(text)); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}
