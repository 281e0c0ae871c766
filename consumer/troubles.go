package consumer

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// troubles are what is wrong with Kafka at present, by what it is wrong with.
// Each is logged when it begins, when it becomes another one, and when it is
// over, however often it is tried in between.
type troubles struct {
	logger *slog.Logger

	mu   sync.Mutex
	open map[string]*trouble
}

type trouble struct {
	what   string
	why    string // the latest
	since  time.Time
	tries  int
	logged map[string]bool // the reasons that have been logged
}

func newTroubles(logger *slog.Logger) *troubles {
	return &troubles{logger: logger, open: map[string]*trouble{}}
}

// lost says that something does not work.
func (ts *troubles) lost(what string, why error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.open[what]
	if t == nil {
		t = &trouble{what: what, since: time.Now(), logged: map[string]bool{}}
		ts.open[what] = t
	}
	t.why = why.Error()
	t.tries++
	if !t.logged[t.why] && len(t.logged) < 10 {
		t.logged[t.why] = true
		ts.logger.Warn("lost", "what", what, "error", why)
	}
}

// over says that something works.
func (ts *troubles) over(what string) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t := ts.open[what]; t != nil {
		delete(ts.open, what)
		ts.logger.Info("recovered", "what", what, "after", time.Since(t.since).Round(time.Millisecond), "tries", t.tries)
	}
}

// keep forgets what is not to be kept: it is somebody else's trouble now.
func (ts *troubles) keep(ours func(what string) bool) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	maps.DeleteFunc(ts.open, func(what string, _ *trouble) bool { return !ours(what) })
}

// String tells the trouble with the metadata, or else the oldest one, and how many
// more there are; empty is none.
func (ts *troubles) String() string {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if len(ts.open) == 0 {
		return ""
	}
	first := ts.open[metadata]
	if first == nil {
		first = slices.MinFunc(slices.Collect(maps.Values(ts.open)), func(a, b *trouble) int {
			return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.what, b.what))
		})
	}
	text := first.why
	if first.what != metadata {
		text = first.what + ": " + text
	}
	if n := len(ts.open) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
	}
	return text
}
