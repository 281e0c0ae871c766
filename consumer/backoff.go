package consumer

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// backoff returns how long to pause after so many failures before this one: it
// doubles, up to a bound, and is spread by half so that gateways that failed
// together do not come back together.
func backoff(failures int) time.Duration {
	d := maxBackoff
	if failures < 6 {
		d = min(minBackoff<<failures, maxBackoff)
	}
	return d/2 + rand.N(d/2)
}

// fruitlessPause returns how long to pause after so many fetches in a row that brought nothing and took no time.
func fruitlessPause(fetches int) time.Duration {
	return min(10*time.Millisecond<<min(fetches, 6), maxWait)
}

// sleep pauses and reports whether ctx still goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
