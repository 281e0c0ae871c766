// Command bench measures paystream, and what it is compared with, on the machine that it runs on.
//
// It starts a broker, the servers and the subscribers as processes of their own, all but the gateway
// being this same program with another first argument.
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

	"paystream/bench/baseline"
	"paystream/bench/broker"
	"paystream/bench/inprocess"
	"paystream/bench/load"
	"paystream/bench/sample"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is the whole program but for its process.
func run(ctx context.Context, args []string, in io.Reader, out, progress io.Writer) error {
	if len(args) < 2 {
		return bench(ctx, args, out, progress)
	}
	role, file := args[0], args[len(args)-1]
	switch role {
	case "broker", "baseline", "load", "inprocess":
		// The parent ends its children by closing their input: a Ctrl-C is for all of them.
		signal.Ignore(os.Interrupt)
		if role == "baseline" {
			return baseline.Run(args[1], file, in, out) //nolint:contextcheck // ends with its input
		}
		payments, err := sample.Read(file)
		if err != nil {
			return err
		}
		switch role {
		case "broker":
			return broker.Run(args[1:len(args)-1], payments, in, out)
		case "inprocess":
			return inprocess.Run(payments, in, out)
		}
		return load.Run(payments, in, out) //nolint:contextcheck // ends with its input
	}
	return bench(ctx, args, out, progress)
}
