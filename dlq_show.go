package main

import (
	"bufio"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"paystream/consumer"
)

func (p *program) dlqShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show PARTITION:OFFSET",
		Short: "Show one bad record, its value too",
		Long: `Show all there is about one bad record: where it comes from, what is wrong with it, its key, its headers
and its value. This is the one place that prints a record's content.

` + exitCodesHelp,
		Example: `  paystream dlq show 0:42
  paystream dlq show 0:42 --value > record.json      the value alone, byte for byte`,
		Args: cobra.ExactArgs(1),
	}
	valueOnly := cmd.Flags().Bool("value", false, "only the value, byte for byte")
	read := p.dlqFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		places, err := parsePlaces(args)
		if err != nil {
			return badUsage(err)
		}
		cfg, err := read()
		if err != nil {
			return err
		}
		return p.deadLetters(cfg, func(letters *consumer.DeadLetters) error {
			found, copies := (*consumer.DeadLetter)(nil), 0
			err := each(cmd.Context(), letters, func(d *consumer.DeadLetter) error {
				if places[0] == placeOf(d) {
					found = d
					copies++
				}
				return nil
			})
			switch {
			case err != nil:
				return err
			case found == nil:
				return fmt.Errorf("there is no dead letter of %s: see paystream dlq list", args[0])
			case *valueOnly:
				_, err = p.stdout.Write(found.Value)
				return err
			}
			return showLetter(p.stdout, found, copies, letters.Inspect(found.Value))
		})
	}
	return cmd
}

func showLetter(w io.Writer, d *consumer.DeadLetter, copies int, now error) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "topic      %s\npartition  %d\noffset     %d\ntime       %s\nreason     %s\n",
		printable(d.Origin.Topic), d.Origin.Partition, d.Origin.Offset, d.Time.UTC().Format(time.RFC3339Nano), printable(wrong(d)))
	if now == nil {
		fmt.Fprintln(out, "now        a good payment: paystream dlq replay sends it back")
	} else {
		fmt.Fprintf(out, "now        %s\n", printable(now.Error()))
	}
	if copies > 1 {
		fmt.Fprintf(out, "copies     %d\n", copies)
	}
	fmt.Fprintf(out, "key        %s\n", content(d.Key))
	for _, h := range d.Headers {
		fmt.Fprintf(out, "header     %s = %s\n", printable(h.Key), content(h.Value))
	}
	fmt.Fprintf(out, "value      %d bytes\n%s\n", len(d.Value), content(d.Value))
	return out.Flush()
}

// content is bytes as a terminal may have them.
func content(b []byte) string {
	if b == nil {
		return "none"
	}
	return printable(string(b))
}
