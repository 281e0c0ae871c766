package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Table says how a workload's figures are shown.
type Table struct {
	Name  string // of the workload
	Title string
	// Notes say what a reader needs to know to judge the figures.
	Notes   []string
	Columns []Column
	Rows    []Row
	// Reference is the subject that most others are compared with.
	Reference string
}

// Row is a subject, and the one that it is compared with, if any.
type Row struct{ Subject, Against string }

// Column is one figure of a table.
type Column struct {
	Metric Metric
	Title  string
	// Ratio has a column behind it with the ratio to the reference.
	Ratio bool
}

// grid returns the cells of a table, the titles first.
func (r *Results) grid(t Table) [][]string {
	to := "to " + t.Reference
	if slices.ContainsFunc(t.Rows, func(row Row) bool { return row.Against != t.Reference }) {
		to = "ratio"
	}
	head := []string{""}
	for _, c := range t.Columns {
		head = append(head, c.Title)
		if c.Ratio {
			head = append(head, to)
		}
	}
	cells := [][]string{head}
	for _, of := range t.Rows {
		if len(r.metrics(t.Name, of.Subject)) == 0 {
			continue
		}
		row := []string{of.Subject}
		for _, c := range t.Columns {
			row = append(row, c.Metric.cell(r.Spread(t.Name, of.Subject, c.Metric)))
			if c.Ratio {
				row = append(row, ratioCell(r.Ratio(t.Name, of.Subject, of.Against, c.Metric), of.Subject == of.Against))
			}
		}
		cells = append(cells, row)
	}
	return cells
}

// cell is a median and its spread, as "1.23 M (1.20–1.25)".
func (m Metric) cell(s Spread) string {
	if s.Runs == 0 {
		return "–"
	}
	text := m.format(s.Median)
	if s.Runs == 1 || (m.format(s.Min) == text && m.format(s.Max) == text) {
		return text
	}
	return text + " (" + span(m.format(s.Min), m.format(s.Max)) + ")"
}

func ratioCell(s Spread, isReference bool) string {
	switch {
	case isReference:
		return "1"
	case s.Runs == 0:
		return "–"
	case s.Runs == 1 || (digits(s.Min) == digits(s.Max)):
		return digits(s.Median) + "×"
	}
	return digits(s.Median) + "× (" + span(digits(s.Min), digits(s.Max)) + ")"
}

// span leaves a unit out that both have.
func span(from, to string) string {
	number, unit, ok := strings.Cut(from, " ")
	if _, other, _ := strings.Cut(to, " "); ok && unit == other {
		from = number
		to, _, _ = strings.Cut(to, " ")
	}
	return from + "–" + to
}

// Text writes the tables for a terminal.
func (r *Results) Text(w io.Writer, tables []Table, claims []Claim) error {
	var b strings.Builder
	for _, t := range tables {
		cells := r.grid(t)
		if len(cells) == 1 {
			continue
		}
		b.WriteString(t.Title + "\n")
		writeColumns(&b, cells)
		b.WriteString("\n")
	}
	r.claimsText(&b, claims)
	fmt.Fprintf(&b, "%s\nMedians of %d rounds, in brackets the least and the greatest. Others used up to %.0f %% of the machine meanwhile.\n",
		r.Machine.line(), r.Rounds, r.elsewhere()*100)
	if r.Quick {
		b.WriteString(quickNote + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

const quickNote = "A quick run: it shows that everything works; its figures say little."

func writeColumns(b *strings.Builder, cells [][]string) {
	widths := make([]int, len(cells[0]))
	for _, row := range cells {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range cells {
		var line strings.Builder
		for i, cell := range row {
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				line.WriteString("  " + cell + padding)
			} else {
				line.WriteString("   " + padding + cell)
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// line describes the machine in one.
func (m Machine) line() string {
	return fmt.Sprintf("%s, %d cores, %s of memory, Linux %s, %s, %s, %s",
		m.CPU, m.Cores, size(float64(m.Memory)), m.Kernel, m.Go, m.Commit, m.Date.Format("2006-01-02"))
}
