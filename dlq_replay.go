package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"paystream/consumer"
)

// replayAtOnce is how many records are sent back at a time: whoever interrupts waits for so many.
const replayAtOnce = 100

func (p *program) dlqReplayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay [PARTITION:OFFSET ...]",
		Short: "Send bad records back to the topic that are good now",
		Long: `Send bad records back to the topic, all or those named, as far as they are good payments with the
settings of now (AMOUNT_UNITS, KAFKA_MAX_RECORD_BYTES), or with a repaired value. Each is sent once,
however often and wherever this is run, one run at a time: a record that has been sent back says so
in the topic itself, so a run that was stopped is simply run again.

It asks before it sends anything, unless --yes is given.

Exit codes: 0 all of them were sent, or had been; 1 some are still bad, or were not sent; 2 bad usage;
3 cannot reach Kafka.
`,
		Example: `  paystream dlq replay --dry-run                         what would be sent
  AMOUNT_UNITS=minor paystream dlq replay --yes          after a fix of the settings
  paystream dlq show 2:1234 --raw > payment.json         a value to be repaired by hand...
  paystream dlq replay 2:1234 --value-file=payment.json  ...and sent`,
	}
	var r replaying
	flags := cmd.Flags()
	flags.BoolVar(&r.dryRun, "dry-run", false, "say what would be sent, and send nothing")
	flags.BoolVar(&r.yes, "yes", false, "do not ask")
	valueFile := flags.String("value-file", "", "send what is in this `file` in place of the value of the one record named")
	read := p.configFlags(cmd, dlqKeys())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := read()
		if err != nil {
			return err
		}
		if r.names, err = namedOrigins(args); err != nil {
			return badUsage(err)
		}
		if *valueFile != "" {
			if len(args) != 1 {
				return badUsage(errors.New("--value-file: name the one record that it is for, PARTITION:OFFSET"))
			}
			if r.value, err = os.ReadFile(*valueFile); err != nil {
				return badUsage(fmt.Errorf("--value-file: %w", err))
			}
		}
		r.in, r.out, r.errOut = cmd.InOrStdin(), p.stdout, p.stderr
		if in, ok := r.in.(*os.File); !r.yes && !r.dryRun && (!ok || !isTerminal(in)) {
			return badUsage(errors.New("there is no terminal to ask on: give --yes to send, or --dry-run to see what would be sent"))
		}
		return p.withDeadLetters(cmd.Context(), cfg, func(d *deadLetters) error { return r.run(cmd.Context(), d) })
	}
	return cmd
}

// replaying is one run of dlq replay.
type replaying struct {
	names       []origin // none is all
	value       []byte   // repaired; nil is none
	dryRun, yes bool
	in          io.Reader
	out, errOut io.Writer
}

func (r *replaying) run(ctx context.Context, d *deadLetters) error {
	list, replayed, err := d.read(ctx)
	if err != nil {
		return err
	}
	if len(r.names) > 0 {
		if list, err = choose(list, r.names); err != nil {
			return err
		}
	}
	if r.value != nil {
		list[0].Value = r.value
	}
	before := len(list)
	list = slices.DeleteFunc(list, func(l *consumer.DeadLetter) bool { return replayed[l.Origin] })
	var good, bad []*consumer.DeadLetter
	for _, l := range list {
		if err := d.Check(l.Value); err == nil {
			good = append(good, l)
		} else if bad = append(bad, l); len(r.names) > 0 {
			fmt.Fprintf(r.errOut, "%s is still bad: %s\n", l.Origin, printable(err.Error()))
		}
	}
	found, err := r.sent(ctx, d, good)
	if err != nil {
		return err
	}
	good = slices.DeleteFunc(good, func(l *consumer.DeadLetter) bool { return slices.Contains(found, l) })
	fmt.Fprintf(r.errOut, "%d bad records: %d were sent back before, %d are still bad, %d to be sent to topic %s\n",
		before, before-len(list)+len(found), len(bad), len(good), d.topic)
	if r.dryRun {
		for _, l := range good {
			if err := printLetter(r.out, l, false, false); err != nil {
				return err
			}
		}
		return nil
	}
	if len(good) > 0 && !r.yes && !r.confirmed(len(good), d.topic) {
		return errors.New("nothing was sent")
	}
	if err := d.Mark(ctx, found); err != nil {
		return err
	}
	if err := r.send(ctx, d, good); err != nil {
		return err
	}
	if len(bad) > 0 {
		return fmt.Errorf("%d records are still bad: paystream dlq list says why; change the settings or repair them (--value-file)", len(bad))
	}
	return nil
}

// sent returns those that are in the topic already: a run was stopped before it had said so.
func (r *replaying) sent(ctx context.Context, d *deadLetters, list []*consumer.DeadLetter) ([]*consumer.DeadLetter, error) {
	if len(list) == 0 {
		return nil, nil
	}
	there, err := d.Replayed(ctx, list, d.reading("looking for what was sent back before"))
	if err != nil {
		return nil, err
	}
	if d.status != nil {
		d.status.clear()
	}
	var found []*consumer.DeadLetter
	for _, l := range list {
		if there[l.Origin] {
			found = append(found, l)
		}
	}
	return found, nil
}

func (r *replaying) confirmed(n int, topic string) bool {
	fmt.Fprintf(r.errOut, "Send %d records to topic %s? [y/N] ", n, topic)
	answer, _ := bufio.NewReader(r.in).ReadString('\n') // without one it is no
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

// send sends the records, those of a partition in their order. What is on its way when ctx ends is let finish.
func (r *replaying) send(ctx context.Context, d *deadLetters, list []*consumer.DeadLetter) error {
	slices.SortStableFunc(list, func(a, b *consumer.DeadLetter) int { return int(a.Partition - b.Partition) })
	var shown *progress
	if d.status != nil {
		shown = newProgress(d.status, len(list))
	}
	done := 0
	finish := func(err error) error {
		shown.clear()
		fmt.Fprintf(r.errOut, "%d sent, %d not\n", done, len(list)-done)
		return err
	}
	for done < len(list) {
		if ctx.Err() != nil {
			return finish(errors.New("stopped: run it again to send the rest"))
		}
		n := 1
		for done+n < len(list) && n < replayAtOnce && list[done+n].Partition == list[done].Partition {
			n++
		}
		if err := d.Replay(context.WithoutCancel(ctx), list[done:done+n]); err != nil {
			return finish(fmt.Errorf("send records back: %w", err))
		}
		done += n
		shown.update(done, 0)
	}
	return finish(nil)
}
