package consumer

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"paystream/payment"
)

// TestBadRecordsAreSummedUp: the first of a kind at once, the others every 10 s,
// and when there were none for so long, the next one at once again.
func TestBadRecordsAreSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		b := newBadRecords(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
					return slog.Attr{}
				}
				return a
			},
		})))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); b.run(ctx) }()
		missing := &payment.Rejection{Field: "id", Reason: "missing"}
		negative := &payment.Rejection{Field: "amount", Reason: "negative"}
		expect := func(lines ...string) {
			t.Helper()
			synctest.Wait()
			b.mu.Lock() // for what was logged from another goroutine
			defer b.mu.Unlock()
			if got := out.String(); got != strings.Join(lines, "") {
				t.Errorf("logged:\n%swant:\n%s", got, strings.Join(lines, ""))
			}
			out.Reset()
		}
		time.Sleep(time.Second)
		b.add(0, 1, missing)
		expect(`msg="bad record" partition=0 offset=1 field=id reason=missing` + "\n")
		b.add(0, 2, missing)
		b.add(0, 7, missing)
		expect()
		b.add(0, 8, negative)
		expect(`msg="bad record" partition=0 offset=8 field=amount reason=negative` + "\n")
		b.add(1, 3, missing)
		expect(`msg="bad record" partition=1 offset=3 field=id reason=missing` + "\n")
		time.Sleep(summaryEvery)
		expect(`msg="more bad records" partition=0 field=id reason=missing count=2 first_offset=2 last_offset=7` + "\n")
		b.add(0, 9, missing)
		expect() // counted, since the kind was there in the ten seconds before
		time.Sleep(summaryEvery)
		expect(`msg="more bad records" partition=0 field=id reason=missing count=1 first_offset=9 last_offset=9` + "\n")
		time.Sleep(summaryEvery)
		b.add(0, 10, missing)
		expect(`msg="bad record" partition=0 offset=10 field=id reason=missing` + "\n")
		b.add(0, 11, missing)
		cancel()
		<-done
		expect(`msg="more bad records" partition=0 field=id reason=missing count=1 first_offset=11 last_offset=11` + "\n")
	})
}

func TestBackoffGrowsToItsBound(t *testing.T) {
	for failures := range 100 {
		low, high := maxBackoff/2, maxBackoff
		if failures < 6 {
			low, high = minBackoff<<failures/2, minBackoff<<failures
		}
		for range 20 {
			if d := backoff(failures); d < low || d > high {
				t.Fatalf("after %d failures: %v, not in %v to %v", failures, d, low, high)
			}
		}
	}
}

func TestTroublesAreLoggedOnce(t *testing.T) {
	var out bytes.Buffer
	ts := newTroubles(slog.New(slog.NewTextHandler(&out, nil)))
	for range 5 {
		ts.lost("broker 1", context.DeadlineExceeded)
		ts.lost("broker 1", context.Canceled)
		ts.lost("partition 3", context.Canceled)
	}
	if n := strings.Count(out.String(), "msg=lost"); n != 3 {
		t.Errorf("%d lines:\n%s", n, &out)
	}
	if got, want := ts.String(), "broker 1: context canceled (and 1 more)"; got != want {
		t.Errorf("trouble is %q instead of %q", got, want)
	}
	ts.lost(metadata, context.Canceled)
	if got, want := ts.String(), "context canceled (and 2 more)"; got != want {
		t.Errorf("trouble is %q instead of %q", got, want)
	}
	for range 2 {
		ts.over("broker 1")
		ts.over("partition 3")
		ts.over(metadata)
	}
	if n := strings.Count(out.String(), "msg=recovered"); n != 3 || ts.String() != "" {
		t.Errorf("%d lines:\n%s", n, &out)
	}
}
