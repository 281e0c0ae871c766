package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paystream/chaos/judge"
	"paystream/chaos/report"
)

func full() *report.Report {
	return &report.Report{
		Seed: 7, Wanted: 1000, Figures: judge.Figures{Payments: 1000, Delivered: 30_000, Aborted: 20, Bad: 10, Gaps: 2},
		Rows: []report.Row{
			{Title: "gateway, kill -9", Hold: 5 * time.Second, Note: "ready again"},
			{Title: "the topic is made anew", NotRun: "not in this version"},
		},
		Schedule:    []string{"1.0 s gateway-kill"},
		DeadLetters: "**not run**: there are none",
	}
}

func TestPassed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*report.Report)
		want   bool
	}{
		{"nothing found", func(*report.Report) {}, true},
		{"too few payments", func(r *report.Report) { r.Figures.Payments = 999 }, false},
		{"few payments in a quick run", func(r *report.Report) { r.Figures.Payments, r.Quick = 10, true }, true},
		{"something found", func(r *report.Report) { r.Verdict.Counts = map[judge.Fault]int64{judge.Lost: 1} }, false},
		{"a recovery that took too long", func(r *report.Report) { r.Recovery = []report.Recovery{{Target: "under 1 s"}} }, false},
		{"a recovery that nothing was wanted of", func(r *report.Report) { r.Recovery = []report.Recovery{{What: "an election"}} }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := full()
			tt.change(r)
			if got := r.Passed(); got != tt.want {
				t.Errorf("passed: %v, want %v; %v", got, tt.want, r.Claims())
			}
		})
	}
}

// TestMarkdown holds what must not get lost: what was not run, and what was found.
func TestMarkdown(t *testing.T) {
	t.Parallel()
	r := full()
	r.Verdict = judge.Verdict{
		Counts:   map[judge.Fault]int64{judge.Lost: 1},
		Examples: []judge.Finding{{Fault: judge.Lost, Subscriber: "SSE, slow", Partition: 3, Offset: 14}},
	}
	var b strings.Builder
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| seed | 7 (`make chaos ARGS=-seed=7`",
		"| the topic is made anew | | | | | | | | | **not run**: not in this version |",
		"| dead letters | **not run**: there are none | |",
		"| no payment lost | NO | 1 of 30,000 deliveries |",
		"| nothing of an aborted transaction | yes | 0 of 20 records |",
		"SSE, slow: lost, partition 3, offset 14",
		"1.0 s gateway-kill",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
}

// TestSoakIsKept has a soak's part of the page outlive another run, and be replaced by another soak.
func TestSoakIsKept(t *testing.T) {
	t.Parallel()
	page := func(soak string) string {
		r := full()
		r.Soak = soak
		var b strings.Builder
		if err := r.Markdown(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	none := page("")
	if !strings.Contains(none, "## Soak\n\n**Not run yet**") {
		t.Errorf("no soak is not told:\n%s", none)
	}
	first := report.WithSoak(none, "all flat\n")
	if again := page(report.SoakOf(first)); again != first {
		t.Errorf("-before +behind another run:\n%s", cmp.Diff(first, again))
	}
	second := report.WithSoak(first, "grown")
	if want := strings.Replace(first, "all flat", "grown", 1); second != want {
		t.Errorf("-want +got:\n%s", cmp.Diff(want, second))
	}
	if strings.Contains(second, "Not run yet") || !strings.Contains(second, "grown\n\n## The storm's schedule\n") {
		t.Errorf("it is not where it was:\n%s", second)
	}
	if got := report.WithSoak("# Results\n\n", "flat"); got != "# Results\n\n## Soak\n\nflat\n\n" {
		t.Errorf("on a new page: %q", got)
	}
}

func TestSpreadOf(t *testing.T) {
	t.Parallel()
	var d []time.Duration
	for n := range 100 {
		d = append(d, time.Duration(99-n))
	}
	if diff := cmp.Diff(report.Spread{Median: 50, P99: 99, Max: 99}, report.SpreadOf(d)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := report.SpreadOf(nil); got != (report.Spread{}) {
		t.Errorf("of none: %v", got)
	}
}
