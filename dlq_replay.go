package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"paystream/consumer"
)

const (
	// replayChunk bounds what is sent at a time, replayBytes too. Whoever interrupts waits for one.
	replayChunk = 500
	replayBytes = 512 << 10
)

func (p *program) dlqReplayCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay [PARTITION:OFFSET ...]",
		Short: "Send bad records back to the topic, those that are good now",
		Long: `Send bad records back to the topic: those that are good payments with the present settings, as after
KAFKA_MAX_RECORD_BYTES was raised or a new version understands them; or one, with a value that you have
repaired. Each is a new record at the end of its partition, with its own key and headers and the time
of now, and one header more that says where it comes from.

What has been sent back already is known by that header and not sent again, so a replay that broke off
is simply run again. Records from before what the topic still has are left out unless they are named:
whether they were sent back can't be told.

It says what it would do and asks first. Where there is nobody to ask it wants --yes.

` + exitCodesHelp,
		Example: `  paystream dlq replay --dry-run
  paystream dlq replay --yes
  paystream dlq replay 0:42 2:7
  paystream dlq show 0:42 --value > r.json; $EDITOR r.json; paystream dlq replay 0:42 --value-file=r.json`,
	}
	r := &replay{p: p}
	flags := cmd.Flags()
	flags.BoolVar(&r.dryRun, "dry-run", false, "say how many would be sent, and send nothing")
	flags.BoolVar(&r.yes, "yes", false, "do not ask")
	file := flags.String("value-file", "", "send what is in this `file` in place of the record's value; for one record")
	read := p.dlqFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		places, err := parsePlaces(args)
		if err != nil {
			return badUsage(err)
		}
		if *file != "" {
			if len(places) != 1 {
				return badUsage(errors.New("--value-file: name the one record whose value it is, as in 0:42"))
			}
			if r.value, err = os.ReadFile(*file); err != nil {
				return badUsage(fmt.Errorf("--value-file: %w", err))
			}
			r.hasValue = true
		}
		r.in = cmd.InOrStdin()
		if !r.yes && !r.dryRun && !isReadTerminal(r.in) {
			return badUsage(errors.New("there is no terminal to ask on: say --yes, or --dry-run to see how many would be sent"))
		}
		cfg, err := read()
		if err != nil {
			return err
		}
		r.topic = cfg.Topic
		r.named = map[recordPlace]bool{}
		for _, at := range places {
			r.named[at] = false
		}
		return p.deadLetters(cfg, func(letters *consumer.DeadLetters) error {
			r.letters = letters
			return r.run(cmd.Context())
		})
	}
	return cmd
}

// replay is one run of dlq replay.
type replay struct {
	p           *program
	in          io.Reader
	topic       string
	named       map[recordPlace]bool // those to send, and whether they were found; none is all
	value       []byte               // in place of the record's
	hasValue    bool
	dryRun, yes bool

	letters *consumer.DeadLetters
	chosen  map[consumer.Origin]bool // and whether they have been sent

	already, bad, uncertain, sent int
	badReason                     error // the first one's
}

func (r *replay) run(ctx context.Context) error {
	if err := r.choose(ctx); err != nil {
		return err
	}
	for at, found := range r.named {
		if !found {
			return fmt.Errorf("there is no dead letter of %d:%d: see paystream dlq list", at.partition, at.offset)
		}
	}
	fmt.Fprintln(r.p.stdout, r.plan())
	if len(r.chosen) == 0 || r.dryRun {
		return r.verdict()
	}
	if !r.yes {
		if ok, err := r.ask(ctx); err != nil || !ok {
			return err
		}
	}
	start := time.Now()
	err := r.send(ctx)
	fmt.Fprintf(r.p.stdout, "%s sent", humanize.Comma(int64(r.sent)))
	if left := len(r.chosen) - r.sent; left > 0 {
		fmt.Fprintf(r.p.stdout, ", %s not sent (run it again for the rest)", humanize.Comma(int64(left)))
	}
	fmt.Fprintf(r.p.stdout, ", in %v (topic %s)\n", time.Since(start).Round(time.Millisecond), r.topic)
	switch {
	case err != nil:
		return err
	case r.sent < len(r.chosen):
		return errors.New("stopped before all were sent")
	}
	return r.verdict()
}

// verdict is an error where a record that was asked for by name can't be sent.
func (r *replay) verdict() error {
	if len(r.named) > 0 && r.bad > 0 {
		return fmt.Errorf("%d of the records named can't be sent: %w", r.bad, r.badReason)
	}
	return nil
}

// choose finds what is to be sent.
func (r *replay) choose(ctx context.Context) error {
	verdicts := map[consumer.Origin]error{}
	err := each(ctx, r.letters, func(d *consumer.DeadLetter) error {
		if _, named := r.named[placeOf(d)]; len(r.named) > 0 && !named {
			return nil
		}
		if len(r.named) > 0 {
			r.named[placeOf(d)] = true
		}
		if _, twice := verdicts[d.Origin]; !twice {
			verdicts[d.Origin] = r.letters.Inspect(r.valueOf(d))
		}
		return nil
	})
	if err != nil || len(verdicts) == 0 {
		return err
	}
	origins := make([]consumer.Origin, 0, len(verdicts))
	for o := range verdicts {
		origins = append(origins, o)
	}
	history, err := r.letters.History(ctx, origins)
	if err != nil {
		return err
	}
	r.chosen = map[consumer.Origin]bool{}
	for o, why := range verdicts {
		switch {
		case history.Sent(o):
			r.already++
		case why != nil:
			r.bad++
			r.badReason = why
		case !history.Certain(o) && len(r.named) == 0:
			r.uncertain++
		default:
			r.chosen[o] = false
		}
	}
	return nil
}

func (r *replay) valueOf(d *consumer.DeadLetter) []byte {
	if r.hasValue {
		return r.value
	}
	return d.Value
}

// plan says what is about to happen.
func (r *replay) plan() string {
	count := func(n int) string { return humanize.Comma(int64(n)) }
	parts := []string{count(len(r.chosen)) + " to send to topic " + r.topic}
	if r.already > 0 {
		parts = append(parts, count(r.already)+" sent before")
	}
	if r.bad > 0 {
		parts = append(parts, count(r.bad)+" still bad")
	}
	if r.uncertain > 0 {
		parts = append(parts, count(r.uncertain)+" from before what the topic still has (name them to send them)")
	}
	return strings.Join(parts, ", ")
}

// ask reports whether the person at the terminal agrees.
func (r *replay) ask(ctx context.Context) (bool, error) {
	fmt.Fprint(r.p.stderr, "Send them? [y/N] ")
	answer := make(chan string, 1)
	go func() { // which may outlive ctx: nothing ends a read from a terminal
		line, _ := bufio.NewReader(r.in).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return false, errors.New("stopped: nothing was sent")
	case a := <-answer:
		if a == "y" || a == "yes" {
			return true, nil
		}
		return false, errors.New("not agreed to: nothing was sent")
	}
}

// send sends what was chosen, in the order in which it stands, until ctx is done.
func (r *replay) send(ctx context.Context) error {
	var bar *progress
	if r.p.obeys(r.p.stderr) {
		bar = newProgress(bottomLineOn(r.p.stderr), len(r.chosen))
	}
	defer bar.clear()
	var chunk []*consumer.DeadLetter
	size := 0
	flush := func() error {
		if len(chunk) == 0 {
			return nil
		}
		// What is on its way is waited for, so that the count is right.
		writing, cancel := context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		defer context.AfterFunc(ctx, func() { time.AfterFunc(produceGrace, cancel) })()
		if _, err := r.letters.Replay(writing, chunk); err != nil {
			return err
		}
		r.sent += len(chunk)
		chunk, size = chunk[:0], 0
		bar.update(r.sent, 0)
		return nil
	}
	err := each(ctx, r.letters, func(d *consumer.DeadLetter) error {
		if sent, ok := r.chosen[d.Origin]; !ok || sent {
			return nil
		}
		r.chosen[d.Origin] = true
		d.Value = r.valueOf(d)
		full := len(chunk) == replayChunk || size+d.Size() > replayBytes
		if full || len(chunk) > 0 && chunk[0].Origin.Partition != d.Origin.Partition {
			if err := flush(); err != nil {
				return err
			}
		}
		chunk, size = append(chunk, d), size+d.Size()
		return ctx.Err()
	})
	if err == nil {
		err = flush()
	}
	if ctx.Err() != nil {
		return nil // whoever stopped it knows
	}
	return err
}

// isReadTerminal reports whether somebody can be asked.
func isReadTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && isTerminal(f)
}
