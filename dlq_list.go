package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"paystream/consumer"
)

func (p *program) dlqListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the bad records, a line each",
		Long: `List the bad records that the dead-letter topic has, the oldest first: where each comes from, its time,
its size and what is wrong with it. A record that was written more than once, as when a gateway dies,
is listed once, with a count. What is in the records is not shown.

` + exitCodesHelp,
		Example: `  paystream dlq list --limit=20
  paystream dlq list --reason=missing --partition=0
  paystream dlq list --json | jq -r .origin`,
		Args: cobra.NoArgs,
	}
	l := &letterList{}
	var asJSON bool
	cmd.Flags().BoolVar(&asJSON, "json", false, "an object for each line")
	cmd.Flags().IntVar(&l.limit, "limit", 0, "how many at most, the newest; 0 is all")
	cmd.Flags().StringVar(&l.reason, "reason", "", "only those whose field and reason hold this `text`")
	cmd.Flags().Int32Var(&l.partition, "partition", -1, "only those of this partition")
	read := p.dlqFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := read()
		if err != nil {
			return err
		}
		if l.limit < 0 {
			return badUsage(errors.New("--limit can't be negative"))
		}
		return p.deadLetters(cfg, func(letters *consumer.DeadLetters) error {
			l.byOrigin = map[consumer.Origin]*letterLine{}
			if err := each(cmd.Context(), letters, l.add); err != nil {
				return err
			}
			return l.print(p.stdout, asJSON)
		})
	}
	return cmd
}

// letterList is what a list shows.
type letterList struct {
	limit     int
	reason    string
	partition int32
	byOrigin  map[consumer.Origin]*letterLine
	others    bool // there are some that are not asked for
}

// letterLine is a bad record in a line. Its JSON is a promise to scripts.
type letterLine struct {
	Origin    string    `json:"origin"`
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Time      time.Time `json:"time"`
	Field     string    `json:"field,omitempty"`
	Reason    string    `json:"reason"`
	Bytes     int       `json:"bytes"`
	Copies    int       `json:"copies"`
}

func (l *letterList) add(d *consumer.DeadLetter) error {
	if l.partition >= 0 && d.Origin.Partition != l.partition || !strings.Contains(wrong(d), l.reason) {
		l.others = true
		return nil
	}
	if line := l.byOrigin[d.Origin]; line != nil {
		line.Copies++
		return nil
	}
	l.byOrigin[d.Origin] = &letterLine{
		Origin: d.Origin.String(), Topic: d.Origin.Topic, Partition: d.Origin.Partition, Offset: d.Origin.Offset,
		Time: d.Time.UTC(), Field: d.Field, Reason: d.Reason, Bytes: d.Size(), Copies: 1,
	}
	return nil
}

// wrong is what is wrong with a record, in words.
func wrong(d *consumer.DeadLetter) string {
	if d.Field == "" {
		return d.Reason
	}
	return d.Field + ": " + d.Reason
}

func (l *letterList) print(w io.Writer, asJSON bool) error {
	lines := make([]*letterLine, 0, len(l.byOrigin))
	for _, line := range l.byOrigin {
		lines = append(lines, line)
	}
	slices.SortFunc(lines, func(a, b *letterLine) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	if l.limit > 0 && len(lines) > l.limit {
		lines = lines[len(lines)-l.limit:]
	}
	out := bufio.NewWriter(w)
	if len(lines) == 0 && !asJSON {
		none := "no bad records"
		if l.others {
			none = "no bad records of that partition and reason: there are others"
		}
		fmt.Fprintln(out, none)
	}
	for _, line := range lines {
		if asJSON {
			b, err := json.Marshal(line)
			if err != nil {
				return fmt.Errorf("write %s as JSON: %w", line.Origin, err)
			}
			fmt.Fprintf(out, "%s\n", b)
			continue
		}
		fmt.Fprintln(out, line)
	}
	return out.Flush()
}

// String is the line for people: 0:42 | 2026-11-26 10:31:02 | 118 B | amount: missing.
func (l *letterLine) String() string {
	why := l.Reason
	if l.Field != "" {
		why = l.Field + ": " + l.Reason
	}
	text := fmt.Sprintf("%s | %s | %s | %s", l.Origin, l.Time.Format(time.DateTime), humanize.Bytes(uint64(l.Bytes)), printable(why))
	if l.Copies > 1 {
		text += fmt.Sprintf(" | %d copies", l.Copies)
	}
	return text
}
