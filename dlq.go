package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"paystream/consumer"
)

// dlqKeys are the settings of the commands about dead letters.
func dlqKeys() []key {
	return only(keys(), append(connectionKeys(), "KAFKA_TOPIC", "KAFKA_ISOLATION_LEVEL", "KAFKA_MAX_RECORD_BYTES", "AMOUNT_UNITS")...)
}

func (p *program) dlqCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "Look at bad records, and send them back",
		Long: `Look at the bad records that gateways have kept in the dead-letter topic (KAFKA_TOPIC with .dlq
behind it), and send them back to the topic after a fix.

A bad record is named by its origin, where it was in the topic: PARTITION:OFFSET.
`,
		Args: knownCommand,
		RunE: func(*cobra.Command, []string) error {
			return badUsage(errors.New("which command? there are list, show and replay: see paystream dlq --help"))
		},
	}
	cmd.AddCommand(p.dlqListCommand(), p.dlqShowCommand(), p.dlqReplayCommand())
	return cmd
}

// deadLetters is what a command about dead letters works with.
type deadLetters struct {
	*consumer.DeadLetters
	topic  string
	status *bottomLine // nil where there is none
}

// withDeadLetters runs a command about dead letters. Where nothing has been kept, it has nothing to do.
func (p *program) withDeadLetters(ctx context.Context, cfg *Config, do func(*deadLetters) error) error {
	p.printWarnings(cfg)
	box, err := consumer.OpenDeadLetters(ctx, consumer.Config{
		Kafka: cfg.Kafka, Topic: cfg.Topic, MaxRecordBytes: int(cfg.MaxRecordBytes), Units: cfg.AmountUnits,
		ReadUncommitted: cfg.Isolation == ReadUncommitted,
	})
	if errors.Is(err, consumer.ErrNoDeadLetters) {
		fmt.Fprintf(p.stderr, "%v (topic %s.dlq)\n", err, cfg.Topic)
		return nil
	}
	if err != nil {
		return kafkaError(err)
	}
	defer box.Close()
	d := &deadLetters{DeadLetters: box, topic: cfg.Topic}
	if p.obeys(p.stderr) {
		d.status = bottomLineOn(p.stderr)
		defer d.status.clear()
	}
	return kafkaError(do(d))
}

// reading shows how many records have been read.
func (d *deadLetters) reading(what string) func(int) {
	if d.status == nil {
		return nil
	}
	return func(n int) {
		d.status.draw(fit(fmt.Sprintf("%s: %s records", what, humanize.Comma(int64(n))), d.status.columns()))
	}
}

// read returns all dead letters.
func (d *deadLetters) read(ctx context.Context) ([]*consumer.DeadLetter, map[consumer.Origin]bool, error) {
	list, replayed, err := d.Read(ctx, d.reading("reading "+d.Topic()))
	if d.status != nil {
		d.status.clear()
	}
	return list, replayed, err
}

func (p *program) dlqListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the bad records, a line each, without their content",
		Example: `  paystream dlq list
  paystream dlq list --reason=amount --partition=2
  paystream dlq list --json | jq -r .reason | sort | uniq -c`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	limit := flags.Int("limit", 0, "how many at most, the newest; 0 is all")
	why := flags.String("reason", "", "only those whose reason or field has this `text` in it")
	partition := flags.Int32("partition", -1, "only those of one partition of the topic")
	asJSON := flags.Bool("json", false, "a line of JSON each")
	read := p.configFlags(cmd, dlqKeys())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := read()
		if err != nil {
			return err
		}
		if *limit < 0 {
			return badUsage(errors.New("--limit can't be negative"))
		}
		return p.withDeadLetters(cmd.Context(), cfg, func(d *deadLetters) error {
			list, replayed, err := d.read(cmd.Context())
			if err != nil {
				return err
			}
			var shown []*consumer.DeadLetter
			for _, l := range list {
				if (*partition < 0 || l.Partition == *partition) && strings.Contains(l.Field+" "+l.Reason, *why) {
					shown = append(shown, l)
				}
			}
			slices.SortStableFunc(shown, func(a, b *consumer.DeadLetter) int { return a.Time.Compare(b.Time) })
			if *limit > 0 && len(shown) > *limit {
				shown = shown[len(shown)-*limit:]
			}
			for _, l := range shown {
				if err := printLetter(p.stdout, l, replayed[l.Origin], *asJSON); err != nil {
					return err
				}
			}
			if !*asJSON {
				fmt.Fprintf(p.stderr, "%d of %d bad records of topic %s\n", len(shown), len(list), d.topic)
			}
			return nil
		})
	}
	return cmd
}

// letterJSON is a dead letter without its content.
type letterJSON struct {
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Time      time.Time `json:"time"`
	Bytes     int       `json:"bytes"`
	Field     string    `json:"field,omitempty"`
	Reason    string    `json:"reason"`
	Repeats   int       `json:"repeats,omitempty"`
	Replayed  bool      `json:"replayed"`
}

func printLetter(w io.Writer, l *consumer.DeadLetter, replayed, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(letterJSON{
			l.Partition, l.Offset, l.Time.UTC(), len(l.Value), l.Field, l.Reason, l.Repeats, replayed,
		})
	}
	line := fmt.Sprintf("%-12s  %s  %9s  %s", l.Origin, l.Time.UTC().Format(time.RFC3339), humanize.IBytes(uint64(len(l.Value))), reasonOf(l))
	if l.Repeats > 0 {
		line += fmt.Sprintf(" (kept %d times)", l.Repeats+1)
	}
	if replayed {
		line += " (sent back)"
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// reasonOf says why a record is bad.
func reasonOf(l *consumer.DeadLetter) string {
	if l.Field == "" {
		return printable(l.Reason)
	}
	return printable(l.Field + " " + l.Reason)
}

func (p *program) dlqShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show PARTITION:OFFSET",
		Short: "Show all of one bad record, its content too",
		Example: `  paystream dlq show 2:1234
  paystream dlq show 2:1234 --raw > payment.json    the value's bytes and nothing else`,
		Args: cobra.ExactArgs(1),
	}
	raw := cmd.Flags().Bool("raw", false, "the value's bytes and nothing else")
	read := p.configFlags(cmd, dlqKeys())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := read()
		if err != nil {
			return err
		}
		names, err := namedOrigins(args)
		if err != nil {
			return badUsage(err)
		}
		return p.withDeadLetters(cmd.Context(), cfg, func(d *deadLetters) error {
			list, replayed, err := d.read(cmd.Context())
			if err != nil {
				return err
			}
			found, err := choose(list, names)
			if err != nil {
				return err
			}
			l := found[0]
			if *raw {
				_, err := p.stdout.Write(l.Value)
				return err
			}
			return p.showLetter(l, replayed[l.Origin])
		})
	}
	return cmd
}

func (p *program) showLetter(l *consumer.DeadLetter, replayed bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "origin   topic %s, partition %d, offset %d\n", l.Topic, l.Partition, l.Offset)
	fmt.Fprintf(&b, "time     %s\n", l.Time.UTC().Format(time.RFC3339Nano))
	fmt.Fprintf(&b, "reason   %s\n", reasonOf(l))
	if l.Repeats > 0 {
		fmt.Fprintf(&b, "kept     %d times\n", l.Repeats+1)
	}
	if replayed {
		fmt.Fprintln(&b, "replay   it has been sent back")
	}
	fmt.Fprintf(&b, "key      %s\n", content(l.Key))
	for _, h := range l.Headers {
		fmt.Fprintf(&b, "header   %s: %s\n", printable(h.Key), content(h.Value))
	}
	fmt.Fprintf(&b, "value    %s\n", content(l.Value))
	_, err := io.WriteString(p.stdout, b.String())
	return err
}

// content is bytes as people can read them, without what a terminal would obey.
func content(b []byte) string {
	switch {
	case b == nil:
		return "none"
	case utf8.Valid(b) && printable(string(b)) == string(b) && len(b) > 0:
		return string(b)
	}
	return strconv.Quote(string(b))
}

// origin is a record's place in the topic, as people name it.
type origin struct {
	partition int32
	offset    int64
}

func namedOrigins(args []string) ([]origin, error) {
	var list []origin
	for _, arg := range args {
		partition, offset, _ := strings.Cut(arg, ":")
		p, errPartition := strconv.ParseInt(partition, 10, 32)
		o, errOffset := strconv.ParseInt(offset, 10, 64)
		if err := cmp.Or(errPartition, errOffset); err != nil || p < 0 || o < 0 {
			return nil, fmt.Errorf("%q is no origin: write PARTITION:OFFSET, as in 2:1234 (paystream dlq list shows them)", arg)
		}
		list = append(list, origin{int32(p), o})
	}
	return list, nil
}

// choose returns the letters of those origins, the newest topic's where there are several, or an error that names one
// that is not there.
func choose(list []*consumer.DeadLetter, names []origin) ([]*consumer.DeadLetter, error) {
	byOrigin := map[origin]*consumer.DeadLetter{}
	for _, l := range list {
		byOrigin[origin{l.Partition, l.Offset}] = l
	}
	var found []*consumer.DeadLetter
	for _, name := range names {
		l := byOrigin[name]
		if l == nil {
			return nil, fmt.Errorf("no bad record of %d:%d has been kept: paystream dlq list shows those that have", name.partition, name.offset)
		}
		found = append(found, l)
	}
	return found, nil
}
