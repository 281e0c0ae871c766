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
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

var errFound = errors.New("not all was shown")

// run is the whole program but for its process.
func run(ctx context.Context, args []string, out, terminal io.Writer) error {
	o, err := parse(args, terminal)
	if err != nil {
		return err
	}
	p := newProgress(out, terminal)
	p.linef("seed %d", o.seed)
	if o.soak > 0 {
		return soakRun(ctx, o, out, p)
	}
	return chaos(ctx, o, out, p)
}
