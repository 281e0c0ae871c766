package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"paystream/chaos/fault"
	"paystream/chaos/recovery"
	"paystream/chaos/report"
	"paystream/chaos/subscriber"
	"paystream/chaos/world"
)

const (
	wanted       = 1_000_000        // acknowledged payments
	patience     = 60 * time.Second // for all to have what was acknowledged; then it counts as lost
	leastStorm   = 40 * time.Second // however long the faults alone take
	quickStorm   = 20 * time.Second // the same of a quick run
	afterThought = 4 * time.Second  // until all have caught up, about
)

// chaos runs the faults, judges, and reports.
func chaos(ctx context.Context, o options, out io.Writer, p *progress) error {
	defer p.clear()
	begin := time.Now()
	w, err := world.Start(ctx, world.Config{
		Root: o.root, Binary: o.binary, Rate: o.rate, Seed: o.seed, Logs: o.logs,
		Habits: []subscriber.Habit{subscriber.Steady, subscriber.Slow, subscriber.Restless},
	}, p.show)
	if err != nil {
		return err
	}
	defer w.Close()
	r := &session{world: w, options: o, progress: p, begin: begin, report: report.Report{
		Seed: o.seed, Quick: o.quick || len(o.only) > 0, Wanted: wanted, Machine: machine(ctx, o.root),
	}}
	w.Begin(ctx)
	broken := r.all(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if broken != nil { // what was seen until then is judged all the same
		r.report.Broken = broken.Error()
		p.linef("broken off: %v", broken)
	}
	if err := r.finish(ctx); err != nil {
		return errors.Join(broken, err)
	}
	p.clear()
	return errors.Join(broken, o.write(&r.report, out))
}

// session is one run.
type session struct {
	world    *world.World
	options  options
	progress *progress
	begin    time.Time
	report   report.Report
}

// all does the faults, alone and then, unless only some were asked for, together.
func (r *session) all(ctx context.Context) error {
	for _, s := range fault.Alone(r.options.seed, r.options.quick, r.options.only...) {
		if err := r.alone(ctx, s); err != nil {
			return err
		}
	}
	if r.options.recovery {
		measured, err := recovery.Measure(ctx, r.world, r.progress.begin)
		if err != nil {
			return err
		}
		r.report.Recovery = measured
		for _, m := range measured {
			r.progress.linef("%s: %v (%d times)", m.What, m.Spread, m.Times)
		}
	}
	if len(r.options.only) > 0 {
		return nil
	}
	return r.storm(ctx)
}

func (r *session) alone(ctx context.Context, s fault.Step) error {
	f, _ := fault.Find(s.Fault)
	return r.row(ctx, f.Title, s.Hold, func() (fault.Outcome, error) { return fault.Run(ctx, r.world, s) })
}

// row does something and notes what there was meanwhile.
func (r *session) row(ctx context.Context, title string, length time.Duration, do func() (fault.Outcome, error)) error {
	r.progress.begin(title)
	defer r.progress.watch(r.world)()
	r.world.Spread(ctx)
	before := r.world.Judge.Figures()
	for _, s := range r.world.Subscribers {
		s.Times.Reset()
	}
	out, err := do()
	row := report.Row{Title: title, Hold: length, Note: out.Note, NotRun: out.NotRun}
	if err != nil {
		row.Note = "**broken off**: " + firstLine(err)
	}
	row.CaughtUp = r.world.CaughtUp(ctx, patience)
	var silences []time.Duration
	for _, s := range r.world.Steady() {
		silences = append(silences, s.Times.Longest().Length())
	}
	row.Silence = report.SpreadOf(silences)
	row.Figures = report.Since(r.world.Judge.Figures(), before)
	r.report.Rows = append(r.report.Rows, row)
	r.progress.row(row)
	if err != nil {
		return fmt.Errorf("%s: %w", title, err)
	}
	return r.world.Health()
}

// firstLine is what fits a table.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// storm has everything at once, for as long as is left.
func (r *session) storm(ctx context.Context) error {
	length := stormLength(r.options)
	steps := fault.Storm(r.options.seed, length, r.options.quick)
	for _, s := range steps {
		r.report.Schedule = append(r.report.Schedule, s.String())
	}
	r.world.Traffic.Bad(true)
	r.world.Traffic.Transactions(true)
	return r.row(ctx, "all of it, at random", length, func() (fault.Outcome, error) {
		out, err := fault.RunStorm(ctx, r.world, steps, func(s fault.Step) { r.progress.begin(s.String()) })
		note := fmt.Sprintf("%d faults; 1 %% bad records and transactions all the time", len(steps))
		if out.Note != "" {
			note += "; made anew once: " + out.Note
		}
		return fault.Outcome{Note: note}, err
	})
}

// stormLength is what the faults alone leave, by their holds and not by the clock: the same seed is to
// have the same schedule.
func stormLength(o options) time.Duration {
	length := o.length
	for _, s := range fault.Alone(o.seed, o.quick) {
		f, _ := fault.Find(s.Fault)
		length -= s.Hold + f.Mend + afterThought
	}
	if o.recovery {
		length -= recovery.Length
	}
	if o.quick {
		return max(quickStorm, length)
	}
	return max(leastStorm, length)
}

// finish ends the traffic, waits for the subscribers, and judges.
func (r *session) finish(ctx context.Context) error {
	r.progress.begin("the end")
	if err := r.world.End(); err != nil {
		return err
	}
	r.world.CaughtUp(ctx, patience)
	if err := r.deadLetters(ctx); err != nil {
		return err
	}
	r.report.Figures, r.report.Verdict = r.world.Judge.Figures(), r.world.Judge.Verdict()
	r.report.Failed = r.world.Traffic.Failed()
	r.report.Took = time.Since(r.begin)
	r.report.Ends = map[string]int{}
	for _, s := range r.world.Subscribers {
		for end, n := range s.Ends() {
			r.report.Ends[end] += n
		}
	}
	r.report.Settings = []string{
		fmt.Sprintf("3 brokers (replication 3, min ISR 2; replica.fetch.backoff.ms 50, replica.fetch.wait.max.ms 100), 3 gateways, %d subscribers: %d protocols, each one that always reads, one that is slow, one that comes and goes",
			len(r.world.Subscribers), len(r.world.Steady())),
		fmt.Sprintf("%d payments a second, acks from all, idempotent; %d partitions to begin with", r.options.rate, world.Partitions),
	}
	return nil
}

// deadLetters has the judge see what is in the dead-letter topic, where the gateways keep one.
func (r *session) deadLetters(ctx context.Context) error {
	if r.world.Judge.Figures().Bad == 0 {
		r.report.DeadLetters = "**not run**: there were no bad records"
		return nil
	}
	there, err := r.world.HasDeadLetters(ctx)
	if err != nil {
		return err
	}
	if !there {
		r.report.DeadLetters = "**not run**: the gateways of this version keep none"
		return nil
	}
	r.report.DeadLettersRead = true
	r.world.Judge.ExpectDeadLetters()
	if err := r.world.ReadDeadLetters(ctx, patience); err != nil {
		return err
	}
	records, repeats := r.world.Judge.DeadLetters()
	r.report.DeadLetters = fmt.Sprintf("%d bad records have one, of %d; %d repeats; partitions may have changed their owner in %.0f %% of the time",
		records, r.world.Judge.Figures().Bad, repeats, 100*r.world.Judge.Unrest().Seconds()/time.Since(r.begin).Seconds())
	return nil
}

// write reports, on out and in the file asked for.
func (o options) write(r *report.Report, out io.Writer) (err error) {
	if err := r.Text(out); err != nil {
		return err
	}
	if o.markdown != "" {
		if page, err := os.ReadFile(o.markdown); err == nil {
			r.Soak = report.SoakOf(string(page))
		}
		file, err := os.Create(o.markdown)
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		if err := errors.Join(r.Markdown(file), file.Close()); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	if !r.Passed() {
		return errFound
	}
	return nil
}
