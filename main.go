// Command paystream streams payments from Kafka to gRPC, gRPC-Web, Connect, SSE and NDJSON clients.
//
// All of it is one binary: the gateway (serve), the gateway with a broker and sample payments of
// its own (dev), a producer of sample payments (produce) and a subscriber (tail). Its exit codes
// are 0 done, 1 failed, 2 bad usage or configuration, 3 cannot reach Kafka or the gateway.
//
// The first SIGINT or SIGTERM ends a command in good order, the second ends the process at once.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal finds the default action again: the process ends
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "paystream:", err)
	}
	os.Exit(exitCode(err))
}

// run is the whole program but for its process: it takes the arguments after the program's name
// and the environment as "KEY=value", reads .env in the working directory, and returns when the
// command is done or ctx is.
func run(ctx context.Context, args, env []string, stdout, stderr io.Writer) error {
	p := &program{env: env, stdout: stdout, stderr: stderr, serve: serve}
	root := p.rootCommand() //nolint:contextcheck // cobra hands ctx to the commands
	// Cobra marks no errors of its own, and all of them come before a command has started.
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	root.SetArgs(normalizeArgs(root, args))
	err := root.ExecuteContext(ctx)
	if err != nil && !started {
		return badUsage(err)
	}
	return err
}

// Exit codes, a promise to scripts.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
)

// exitError is an error that ends the program with its own exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// badUsage marks an error of the command line or the configuration.
func badUsage(err error) error { return &exitError{exitUsage, err} }

// unreachable marks an error of Kafka or the gateway being out of reach.
func unreachable(err error) error { return &exitError{exitUnreachable, err} }

func exitCode(err error) int {
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	}
	return exitFailed
}
