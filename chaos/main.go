// Command chaos runs a small paystream, with three brokers and three gateways, breaks it in every way
// that its promises speak of, and judges whether each subscriber saw what Kafka acknowledged.
//
// It ends with 1 when the judge has found anything.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"paystream/chaos/subscriber"
	"paystream/chaos/world"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, _ []string, out, _ io.Writer) error {
	w, err := world.Start(ctx, world.Config{Root: "..", Rate: 1500, Seed: 1, Habits: []subscriber.Habit{subscriber.Steady, subscriber.Slow, subscriber.Restless}}, func(s string) { fmt.Fprintln(out, s) })
	if err != nil {
		return err
	}
	defer w.Close()
	w.Begin(ctx)
	for range 6 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Second):
		}
		fmt.Fprintf(out, "%+v waiting %d\n", w.Judge.Figures(), w.Judge.Waiting(nil))
	}
	fmt.Fprintln(out, w.End())
	fmt.Fprintln(out, w.CaughtUp(ctx, 20*time.Second))
	fmt.Fprintf(out, "%+v\n%+v\n", w.Judge.Figures(), w.Judge.Verdict())
	for _, s := range w.Subscribers {
		fmt.Fprintln(out, s.Track.Name(), s.Ends(), s.Times.Longest().Length())
	}
	return nil
}
