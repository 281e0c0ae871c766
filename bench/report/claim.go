package report

import (
	"fmt"
	"strings"
)

// Claim is a figure that paystream is held to.
type Claim struct {
	// Text says it in words, limit included.
	Text string
	// Value finds it; a spread of no runs is: not measured.
	Value func(r *Results) Spread
	// Limit is the most that it may be, or, with AtLeast, the least.
	Limit   float64
	AtLeast bool
	// Metric is what Value is in; empty is a ratio.
	Metric Metric
}

// verdict is what became of a claim.
type verdict struct {
	Claim    string  `json:"claim"`
	Measured Spread  `json:"measured"`
	Limit    float64 `json:"limit"`
	Met      bool    `json:"met"`
	text     string
}

// verdicts are those of the claims that were measured. The median decides.
func (r *Results) verdicts(claims []Claim) []verdict {
	var all []verdict
	for _, c := range claims {
		s := c.Value(r)
		if s.Runs == 0 {
			continue
		}
		met := s.Median <= c.Limit
		if c.AtLeast {
			met = s.Median >= c.Limit
		}
		text := ratioCell(s, false)
		if c.Metric != "" {
			text = c.Metric.cell(s)
		}
		all = append(all, verdict{c.Text, s, c.Limit, met, text})
	}
	return all
}

func (v verdict) word() string {
	if v.Met {
		return "met"
	}
	return "missed"
}

func (r *Results) claimsText(b *strings.Builder, claims []Claim) {
	verdicts := r.verdicts(claims)
	if len(verdicts) == 0 {
		return
	}
	cells := [][]string{{"", "measured", ""}}
	for _, v := range verdicts {
		cells = append(cells, []string{v.Claim, v.text, v.word()})
	}
	b.WriteString("What it is held to\n")
	writeColumns(b, cells)
	b.WriteString("\n")
}

// claimsMarkdown writes the claims as a table.
func (r *Results) claimsMarkdown(b *strings.Builder, claims []Claim) {
	verdicts := r.verdicts(claims)
	if len(verdicts) == 0 {
		return
	}
	b.WriteString("## What it is held to\n\n| | measured | |\n|---|---:|---|\n")
	for _, v := range verdicts {
		fmt.Fprintf(b, "| %s | %s | %s |\n", v.Claim, v.text, v.word())
	}
	b.WriteString("\n")
}
