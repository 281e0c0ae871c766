//go:build kafka

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"paystream/internal/kafkatest"
)

// TestExamplesPrintTheirLines has the tests of web/ run on a real Kafka instead of embedded brokers:
// those of both Node examples, and of Google's grpc-web client in a browser. Each writes records of
// known amounts to a topic of its own, starts gateways on it, kills, drains and starts them again, and
// compares every line.
func TestExamplesPrintTheirLines(t *testing.T) {
	k := kafkatest.Shared(t)
	bin, err := filepath.Abs("web/node_modules/.bin")
	if err != nil {
		t.Fatal(err)
	}
	vitest := filepath.Join(bin, "vitest")
	if _, err := os.Stat(vitest); err != nil {
		t.Fatalf("%v: run npm ci in web/, as make test-kafka does; it needs npm 10 or later, which comes with Node.js", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, vitest, "run", "--project=gateway", "--project=browser", "examples/node", "testing/grpc-web")
	cmd.Dir = "web"
	cmd.Env = append(os.Environ(),
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), // the Node that npm ci brought along
		"PAYSTREAM_TEST_KAFKA="+k.Plaintext(), "NO_COLOR=1")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it ends what it has started
	cmd.WaitDelay = patience
	if err := cmd.Run(); err != nil {
		t.Fatalf("vitest: %v", err)
	}
}
