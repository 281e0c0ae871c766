package soak

import (
	"fmt"
	"slices"
	"strings"
)

// Text is what was seen, as a part of a page: a table and a plot.
func Text(rows []Row) string {
	var b strings.Builder
	b.WriteString(Rule + "\n\n| | gateway | second quarter | last quarter | growth | flat |\n|---|---:|---:|---:|---:|---|\n")
	for _, r := range rows {
		flat := "yes"
		if !r.Flat() {
			flat = "**NO**"
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %+.1f %% | %s |\n", r.Name, r.Gateway, r.Second, r.Fourth, r.Growth(), flat)
	}
	b.WriteString("\nEach bar begins at 0; time goes to the right.\n\n```\n")
	for i, r := range rows {
		if i == 0 || rows[i-1].Name != r.Name {
			b.WriteString(strings.Repeat("\n", min(i, 1)) + r.Name + "\n")
		}
		fmt.Fprintf(&b, "  gateway %d  %s  %d to %d\n", r.Gateway, bars(r.Values, most(rows, r.Name)), slices.Min(r.Values), slices.Max(r.Values))
	}
	b.WriteString("```\n")
	return b.String()
}

func most(rows []Row, name string) (n int64) {
	for _, r := range rows {
		if r.Name == name {
			n = max(n, slices.Max(r.Values))
		}
	}
	return n
}

// bars draws values, each in one letter.
func bars(values []int64, most int64) string {
	heights := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, v := range values {
		b.WriteRune(heights[min(int(v*int64(len(heights))/max(1, most)), len(heights)-1)])
	}
	return b.String()
}
