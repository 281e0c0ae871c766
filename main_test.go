package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"paystream/internal/kafkatest"
)

// binary is the program as people get it: go run hides exit codes and signals.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "paystream")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "paystream")
	if out, err := exec.CommandContext(context.Background(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the binary: %v\n%s", err, out)
		return 1
	}
	code := kafkatest.Suite{M: m}.Run() // with a real Kafka where a test wants one
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// outcome is what came of running the program.
type outcome struct {
	code           int
	stdout, stderr string // with the error, as main prints it
}

// runInProcess runs the program with nothing in its environment but env.
func runInProcess(ctx context.Context, env []string, args ...string) outcome {
	var stdout, stderr bytes.Buffer
	err := run(ctx, args, env, &stdout, &stderr)
	if err != nil {
		fmt.Fprintln(&stderr, "paystream:", err)
	}
	return outcome{exitCode(err), stdout.String(), stderr.String()}
}

func TestCommandLine(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, tt := range map[string]struct {
		args           []string
		code           int
		stdout, stderr string // what they contain
	}{
		"help":                      {[]string{"--help"}, 0, "Exit codes: 0 done, 1 failed, 2 bad usage or configuration, 3 cannot reach", ""},
		"help names the keys":       {[]string{"-h"}, 0, "KAFKA_SASL_MECHANISM", ""},
		"one dash":                  {[]string{"-help"}, 0, "Usage:", ""},
		"help of a command":         {[]string{"produce", "-h"}, 0, "paystream produce -count=10 -interval=1s", ""},
		"version":                   {[]string{"version"}, 0, "paystream ", ""},
		"completion":                {[]string{"completion", "bash"}, 0, "bash completion V2 for paystream", ""},
		"completion of a flag":      {[]string{"__complete", "tail", "--pro"}, 0, "--protocol", ""},
		"a flag's other name":       {[]string{"config", "-grpc-host=::", "-grpc-allow-anonymous"}, 0, "GRPC_ALLOW_ANONYMOUS        true", ""},
		"unknown command":           {[]string{"prodcue"}, 2, "", "did you mean produce?"},
		"unknown argument":          {[]string{"serve", "now"}, 2, "", `"now"`},
		"unknown flag":              {[]string{"produce", "-cuont=1"}, 2, "", "did you mean --count?"},
		"flag of another command":   {[]string{"version", "--count=1"}, 2, "", "unknown flag: --count"},
		"malformed flag":            {[]string{"produce", "-count=ten"}, 2, "", "--count"},
		"negative count":            {[]string{"produce", "-count", "-1"}, 2, "", "negative"},
		"flag without its value":    {[]string{"tail", "--cursor"}, 2, "", "--cursor"},
		"malformed key, no command": {[]string{"-grpc-port=http"}, 2, "", "GRPC_PORT"},
		"malformed key, serve":      {[]string{"serve", "--kafka-topic", "a,b"}, 2, "", "KAFKA_TOPIC"},
		"unknown provider":          {[]string{"tail", "--provider=visa"}, 2, "", "stripe, razorpay, paypal"},
		"unknown status":            {[]string{"tail", "--status=done"}, 2, "", "pending, completed, failed, refunded"},
		"unknown protocol":          {[]string{"tail", "--protocol=soap"}, 2, "", "grpc, grpcweb or connect"},
		"malformed since":           {[]string{"tail", "--since=yesterday"}, 2, "", "2026-01-31T12:00:00Z"},
		"malformed address":         {[]string{"tail", "--address=ftp://x"}, 2, "", "http://127.0.0.1:50051"},
		"negative limit":            {[]string{"tail", "--limit=-1"}, 2, "", "negative"},
	} {
		t.Run(name, func(t *testing.T) {
			got := runInProcess(t.Context(), nil, tt.args...)
			if got.code != tt.code {
				t.Errorf("exit code %d, want %d", got.code, tt.code)
			}
			if !strings.Contains(got.stdout, tt.stdout) || !strings.Contains(got.stderr, tt.stderr) {
				t.Errorf("want %q on stdout and %q on stderr, got\n%s\n%s", tt.stdout, tt.stderr, got.stdout, got.stderr)
			}
			if tt.code != 0 && strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("want one line for the error, got\n%s", got.stderr)
			}
		})
	}
}

// What people look for first stands first, and a terminal's width is kept to.
func TestHelpBeginsWithWhatMatters(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, want := range map[string][]string{
		"":        {"Usage:", "Examples:", "Commands:", "\n  dev ", "Flags:", "Settings,", "KAFKA_BROKERS", "LOG_FORMAT"},
		"produce": {"Usage:", "Examples:", "Flags:", "--count", "--lines", "Settings,", "--kafka-brokers", "--amount-units"},
		"dev":     {"Usage:", "Flags:", "--data-dir", "--interval", "Settings,", "--kafka-topic", "--grpc-host", "--log-level"},
	} {
		rest := runInProcess(t.Context(), nil, append(strings.Fields(name), "--help")...).stdout
		for _, part := range want {
			_, after, ok := strings.Cut(rest, part)
			if !ok {
				t.Errorf("help of %q: no %q where it is expected", name, part)
			}
			rest = after
		}
	}
	term := newTerminal(t, 100)
	runOn(t.Context(), nil, term.File, term.File, "produce", "--help")
	for line := range strings.Lines(term.end()) {
		if len(strings.TrimRight(line, "\r\n")) > 100 {
			t.Errorf("wider than the terminal: %s", line)
		}
	}
}

func TestNormalizeArgs(t *testing.T) {
	p := &program{}
	for name, tt := range map[string]struct{ args, want []string }{
		"one dash":             {[]string{"produce", "-count=10", "-interval", "1s"}, []string{"produce", "--count=10", "--interval", "1s"}},
		"two dashes":           {[]string{"produce", "--count=10"}, []string{"produce", "--count=10"}},
		"a boolean":            {[]string{"tail", "-json", "-count", "1"}, []string{"tail", "--json", "--count", "1"}},
		"one letter":           {[]string{"tail", "-h"}, []string{"tail", "-h"}},
		"a value with a dash":  {[]string{"tail", "--cursor", "-abc"}, []string{"tail", "--cursor", "-abc"}},
		"the same, one dash":   {[]string{"tail", "-cursor", "-abc", "-json"}, []string{"tail", "--cursor", "-abc", "--json"}},
		"a negative number":    {[]string{"produce", "-count", "-1"}, []string{"produce", "--count", "-1"}},
		"behind a double dash": {[]string{"tail", "--", "-json"}, []string{"tail", "--", "-json"}},
		"a shell's question":   {[]string{"__complete", "tail", "-js"}, []string{"__complete", "tail", "-js"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := normalizeArgs(p.rootCommand(), tt.args); strings.Join(got, " ") != strings.Join(tt.want, " ") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestExitCodesOfTheBinary(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		env  string
		want int
	}{
		"done":                     {[]string{"version"}, "", 0},
		"bad usage":                {[]string{"produce", "--no-such-flag"}, "", 2},
		"bad configuration":        {[]string{"config"}, "GRPC_PORT=-1", 2},
		"bad configuration, serve": {nil, "KAFKA_SASL_USERNAME=alone", 2},
		"no Kafka":                 {[]string{"produce", "-count=1", "--kafka-brokers=127.0.0.1:1"}, "", 3},
		"no gateway":               {[]string{"tail", "--address=http://127.0.0.1:1"}, "", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, binary, tt.args...)
			cmd.Dir = t.TempDir()
			cmd.Env = []string{tt.env}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			_ = cmd.Run()
			if got := cmd.ProcessState.ExitCode(); got != tt.want {
				t.Errorf("exit code %d, want %d\n%s", got, tt.want, stderr.String())
			}
			if strings.HasPrefix(stderr.String(), "paystream: ") != (tt.want == 2) && tt.want != 3 {
				t.Errorf("stderr: %s", stderr.String())
			}
		})
	}
}
