package report

import (
	"fmt"
	"io"
	"strings"
)

// Markdown writes the tables as a page.
func (r *Results) Markdown(w io.Writer, tables []Table, claims []Claim) error {
	var b strings.Builder
	b.WriteString("# Results\n\nWritten by `make bench`; [DESIGN.md](../DESIGN.md) says why things are as they are.\n\n")
	if r.Quick {
		b.WriteString("**" + quickNote + "**\n\n")
	}
	b.WriteString("| machine | |\n|---|---|\n")
	m := r.Machine
	for _, row := range [][2]string{
		{"CPU", fmt.Sprintf("%s, %d cores", m.CPU, m.Cores)},
		{"memory", size(float64(m.Memory))},
		{"kernel", m.Kernel},
		{"Kafka", m.Kafka},
		{"Go", m.Go},
		{"paystream", m.Commit},
		{"date", m.Date.Format("2006-01-02")},
		{"took", fmt.Sprintf("%.0f s", r.Took.Seconds())},
		{"used by others meanwhile", fmt.Sprintf("up to %.0f %% of the machine", r.elsewhere()*100)},
	} {
		fmt.Fprintf(&b, "| %s | %s |\n", row[0], row[1])
	}
	fmt.Fprintf(&b, "\n%s\n\n", method(r.Rounds))
	r.claimsMarkdown(&b, claims)
	for _, t := range tables {
		cells := r.grid(t)
		if len(cells) == 1 {
			continue
		}
		b.WriteString("## " + t.Title + "\n\n")
		for i, row := range cells {
			b.WriteString("| " + strings.Join(row, " | ") + " |\n")
			if i == 0 {
				b.WriteString("|---" + strings.Repeat("|---:", len(row)-1) + "|\n")
			}
		}
		b.WriteString("\n")
		for _, note := range t.Notes {
			b.WriteString(note + "\n\n")
		}
	}
	_, err := io.WriteString(w, strings.TrimRight(b.String(), "\n")+"\n")
	return err
}

func method(rounds int) string {
	return fmt.Sprintf("Each figure is the median of %d rounds, in brackets the least and the greatest. In a round "+
		"everything runs once, one after the other, in an order that changes from round to round; a ratio is the median "+
		"of the rounds' ratios. CPU is the user and system time of the server's process alone, a process of its own in "+
		"each run. The subscribers are another process, which checks what each of them got: count, order, and a "+
		"checksum over all bytes, or, where each subscriber's messages are marshaled for itself, over all fields of the "+
		"payments; one subscriber's events are decoded and compared with the payments as they were written. A run with "+
		"anything wrong is no run. paystream reads from Kafka; the servers that it is compared with have their payments "+
		"in memory.", rounds)
}
