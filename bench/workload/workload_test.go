package workload

import (
	"strings"
	"testing"

	"paystream/bench/process"
	"paystream/bench/report"
)

// TestClaimsNameWhatIsMeasured: a claim that names what does not run would be left out in silence.
func TestClaimsNameWhatIsMeasured(t *testing.T) {
	t.Parallel()
	r := &report.Results{}
	for _, w := range All() {
		for _, s := range w.Subjects {
			m := report.Metrics{}
			for _, c := range w.Table.Columns {
				m[c.Metric] = 1
			}
			r.Add(report.Run{Workload: w.Table.Name, Subject: s.Name, Round: 1, Metrics: m})
		}
	}
	for _, c := range Claims() {
		if c.Value(r).Runs == 0 {
			t.Errorf("%q is about something that is not measured, or not shown", c.Text)
		}
	}
}

func TestTablesAreWhole(t *testing.T) {
	t.Parallel()
	for _, w := range All() {
		table := w.Rows()
		names := map[string]bool{}
		for _, row := range table.Rows {
			if names[row.Subject] {
				t.Errorf("%s: %s is there twice", table.Name, row.Subject)
			}
			names[row.Subject] = true
		}
		for _, row := range table.Rows {
			for _, c := range table.Columns {
				if c.Ratio && !names[row.Against] {
					t.Errorf("%s: %s is compared with %q, which does not run", table.Name, row.Subject, row.Against)
				}
			}
		}
		if table.Title == "" || len(table.Columns) == 0 || strings.Contains(table.Name, " ") {
			t.Errorf("%+v", table)
		}
	}
}

func TestGroupsAreAsManyAsTheySay(t *testing.T) {
	t.Parallel()
	count := func(subscribers func() int, want int) {
		t.Helper()
		if got := subscribers(); got != want {
			t.Errorf("%d subscribers, not %d", got, want)
		}
	}
	count(func() (n int) {
		for _, g := range providerGroups() {
			n += g.Subscribers
		}
		return n
	}, 100)
	count(func() (n int) {
		for _, g := range pairGroups() {
			n += g.Subscribers
		}
		return n
	}, 1000)
	if n := len(pairGroups()); n != 12 {
		t.Errorf("%d pairs", n)
	}
}

func TestMetricIsRead(t *testing.T) {
	t.Parallel()
	const text = "paystream_ready 1\npaystream_ready_since 5\npaystream_lag{topic=\"a b\",partition=\"0\"} 3\npaystream_lag{topic=\"a\",partition=\"1\"} 4.5\n"
	for name, want := range map[string]float64{"paystream_ready": 1, "paystream_lag": 7.5} {
		if got, err := sumOf(text, name); err != nil || got != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := sumOf(text, "paystream"); err == nil {
		t.Error("part of a name is read")
	}
}

func TestHeapIsRead(t *testing.T) {
	t.Parallel()
	got, err := heapOf("heap profile: 1: 2 [3: 4] @ heap/1048576\n# runtime.MemStats\n# Alloc = 9\n# HeapAlloc = 123\n# HeapInuse = 9\n# Stack = 456 / 9999\n# MSpan = 9 / 9\n")
	if want := (process.Heap{Alloc: 123, Stacks: 456}); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := heapOf("# Stack = 456 / 9999\n"); err == nil {
		t.Error("half of it is enough")
	}
}
