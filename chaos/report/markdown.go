package report

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Markdown writes the report as a page.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Results\n\nWritten by `make chaos`, but for the soak, which is `make chaos-soak`'s; [DESIGN.md](../DESIGN.md) says what is where.\n\n")
	if r.Quick {
		b.WriteString("**A quick run: a selection of faults, to see that everything works.**\n\n")
	}
	if r.Broken != "" {
		b.WriteString("**Broken off**: " + r.Broken + "\n\n")
	}
	r.head(&b)
	b.WriteString("## What was to be shown\n\n| | | |\n|---|---|---:|\n")
	for _, c := range r.Claims() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.Text, yes(c.Shown), c.Detail)
	}
	fmt.Fprintf(&b, "| dead letters | %s | |\n\n", r.DeadLetters)
	r.rows(&b)
	r.recovery(&b)
	r.findings(&b)
	r.totals(&b)
	b.WriteString(cmp.Or(r.Soak, notSoaked))
	b.WriteString(scheduleHead + "\n```\n" + strings.Join(r.Schedule, "\n") + "\n```\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Report) head(b *strings.Builder) {
	m := r.Machine
	b.WriteString("| run | |\n|---|---|\n")
	for _, row := range [][2]string{
		{"seed", fmt.Sprintf("%d (`make chaos ARGS=-seed=%d` repeats the schedule)", r.Seed, r.Seed)},
		{"date", m.Date.Format("2006-01-02")},
		{"took", fmt.Sprintf("%.0f s", r.Took.Seconds())},
		{"machine", fmt.Sprintf("%s, %d cores, %d GiB, Linux %s", m.CPU, m.Cores, m.Memory>>30, m.Kernel)},
		{"Go", m.Go},
		{"paystream", m.Commit},
	} {
		fmt.Fprintf(b, "| %s | %s |\n", row[0], row[1])
	}
	for _, s := range r.Settings {
		fmt.Fprintf(b, "| | %s |\n", s)
	}
	b.WriteString("\n")
}

func (r *Report) rows(b *strings.Builder) {
	b.WriteString("## Faults\n\nEach alone, then all at random. Silence is the longest time without any payment that a subscriber " +
		"who always reads has had, from the fault's begin until all had caught up: the median of them, the 99th percentile, the longest. " +
		"Repeats were dropped by the client's rule. Before the topic is deleted the traffic rests until everybody has all of it, so " +
		"that nothing may be missing of it either; of the new one all is owed, from its first record on. In the storm that is once, " +
		"in the middle, when all that began before has ended: a gateway that is cut off or frozen cannot know of it.\n\n" +
		"| fault | for | acknowledged | delivered | repeats | gaps told | silence | all caught up after | findings | |\n" +
		"|---|---:|---:|---:|---:|---:|---:|---:|---:|---|\n")
	for _, row := range r.Rows {
		if row.NotRun != "" {
			fmt.Fprintf(b, "| %s | | | | | | | | | **not run**: %s |\n", row.Title, row.NotRun)
			continue
		}
		f := row.Figures
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", row.Title, seconds(row.Hold), count(f.Payments), count(f.Delivered),
			count(f.Repeats), count(f.Gaps), row.Silence, seconds(row.CaughtUp), count(f.Findings), row.Note)
	}
	b.WriteString("\n")
}

func (r *Report) recovery(b *strings.Builder) {
	if len(r.Recovery) == 0 {
		return
	}
	b.WriteString("## Recovery\n\nOne fault at a time, while payments come: median, 99th percentile, longest. A subscriber's silence " +
		"begins with the last payment before the fault.\n\n| | times | | wanted | |\n|---|---:|---:|---|---|\n")
	for _, m := range r.Recovery {
		met := ""
		if m.Target != "" {
			met = yes(m.Met)
		}
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s |\n", m.What, m.Times, m.Spread, m.Target, met)
	}
	b.WriteString("\n")
}

func (r *Report) findings(b *strings.Builder) {
	b.WriteString("## Findings\n\n")
	if r.Verdict.Clean() {
		b.WriteString("None.\n\n")
		return
	}
	for fault, n := range r.Verdict.Counts {
		fmt.Fprintf(b, "- %s: %s\n", fault, count(n))
	}
	b.WriteString("\n```\n")
	for _, f := range r.Verdict.Examples {
		b.WriteString(f.String() + "\n")
	}
	b.WriteString("```\n\n")
}

func (r *Report) totals(b *strings.Builder) {
	f := r.Figures
	b.WriteString("## Totals\n\n| | |\n|---|---:|\n")
	for _, row := range [][2]string{
		{"payments acknowledged", count(f.Payments)},
		{"records of aborted transactions", count(f.Aborted)},
		{"bad records", count(f.Bad)},
		{"tombstones", count(f.Tombstones)},
		{"records that nobody acknowledged", count(r.Failed)},
		{"deliveries", count(f.Delivered)},
		{"repeats that the client's rule dropped", count(f.Repeats)},
		{"gaps told", count(f.Gaps)},
		{"payments in them", count(f.Missed)},
	} {
		fmt.Fprintf(b, "| %s | %s |\n", row[0], row[1])
	}
	for _, name := range r.ends() {
		fmt.Fprintf(b, "| streams: %s | %s |\n", name, count(int64(r.Ends[name])))
	}
	b.WriteString("\n")
}

// Text writes what a terminal is to show at the end.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	for _, c := range r.Claims() {
		fmt.Fprintf(&b, "%-4s %s: %s\n", yes(c.Shown), c.Text, c.Detail)
	}
	fmt.Fprintf(&b, "     dead letters: %s\n", r.DeadLetters)
	for _, row := range r.Rows {
		if row.NotRun != "" {
			fmt.Fprintf(&b, "     not run: %s: %s\n", row.Title, row.NotRun)
		}
	}
	for _, f := range r.Verdict.Examples {
		b.WriteString("     " + f.String() + "\n")
	}
	fmt.Fprintf(&b, "seed %d, %.0f s, %s deliveries of %s payments, %s repeats dropped\n",
		r.Seed, r.Took.Seconds(), count(r.Figures.Delivered), count(r.Figures.Payments), count(r.Figures.Repeats))
	_, err := io.WriteString(w, b.String())
	return err
}

func yes(shown bool) string {
	if shown {
		return "yes"
	}
	return "NO"
}

func (s Spread) String() string {
	return fmt.Sprintf("%.2f / %.2f / %.2f s", s.Median.Seconds(), s.P99.Seconds(), s.Max.Seconds())
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// count writes a number with commas.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
