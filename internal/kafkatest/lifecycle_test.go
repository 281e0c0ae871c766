//go:build kafka

package kafkatest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/internal/kafkatest"
)

func TestRestart(t *testing.T) {
	begin := time.Now()
	k := kafkatest.Start(t)
	t.Logf("started in %v", time.Since(begin))
	topic := kafkatest.TopicName(t)
	k.CreateTopic(t, topic, 1, nil)
	address := k.Plaintext()

	k.Produce(t, topic, record(0, "k", "one"))
	begin = time.Now()
	k.Restart(t)
	t.Logf("restarted in %v", time.Since(begin))
	k.Produce(t, topic, record(0, "k", "two"))
	k.Kill(t)
	begin = time.Now()
	k.Restart(t)
	t.Logf("started in %v after a kill", time.Since(begin))
	k.Produce(t, topic, record(0, "k", "three"))

	want(t, "after a stop and a kill", k.Read(t, topic, true), "0/0 k=one", "0/1 k=two", "0/2 k=three")
	if k.Plaintext() != address {
		t.Errorf("address %s, want %s as before", k.Plaintext(), address)
	}

	k.Pause(t)
	if err := ping(address, time.Second); err == nil {
		t.Error("paused: it answers")
	}
	k.Resume(t)
	if err := ping(address, 20*time.Second); err != nil {
		t.Errorf("resumed: %v", err)
	}

	k.Pause(t)
	k.Stop(t) // must not wait for a process that is frozen
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("stopped: it still listens")
	}
}

func TestStartSaysWhyItFailed(t *testing.T) {
	failed := make(chan string, 1)
	func() {
		defer func() { _ = recover() }() // the recorder ends Start by a panic
		kafkatest.Start(recorder{t, failed}, kafkatest.Config("node.id", "-7"))
	}()
	select {
	case message := <-failed:
		if !strings.Contains(message, "node.id") {
			t.Errorf("the reason is missing in:\n%s", message)
		}
	default:
		t.Error("started in spite of its configuration")
	}
}

// recorder is a test whose failure is looked at instead of counted.
type recorder struct {
	testing.TB
	failed chan string
}

func (r recorder) Fatal(args ...any) {
	r.failed <- fmt.Sprint(args...)
	panic("failed")
}

// orphanEnv makes TestOrphan the child whose end is tested.
const orphanEnv = "KAFKATEST_ORPHAN"

func TestOrphan(t *testing.T) {
	if os.Getenv(orphanEnv) != "" {
		k := kafkatest.Start(t)
		fmt.Fprintf(os.Stdout, "\n%s %s\n", k.Plaintext(), filepath.Dir(k.CAFile()))
		select {}
	}
	tests := []struct {
		signal  syscall.Signal
		dirGone bool // by itself; else the next start removes it
	}{
		{syscall.SIGINT, true},
		{syscall.SIGTERM, true},
		{syscall.SIGKILL, false},
	}
	for _, tt := range tests {
		t.Run(tt.signal.String(), func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestOrphan$", "-test.timeout=60s")
			cmd.Env = append(os.Environ(), orphanEnv+"=1")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var address, dir string
			for lines := bufio.NewScanner(out); dir == "" && lines.Scan(); {
				_, _ = fmt.Sscan(lines.Text(), &address, &dir) // other lines are the test's own
			}
			if err := cmd.Process.Signal(tt.signal); err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != tt.signal {
				t.Errorf("the child ended with %v, want %v", err, tt.signal)
			}

			deadline := time.Now().Add(5 * time.Second)
			for conn, err := net.Dial("tcp", address); err == nil; conn, err = net.Dial("tcp", address) {
				conn.Close()
				if time.Now().After(deadline) {
					t.Fatal("the broker has outlived its test")
				}
				time.Sleep(20 * time.Millisecond)
			}
			if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) != tt.dirGone {
				t.Errorf("its folder: %v, want gone: %v", err, tt.dirGone)
			}
			if !tt.dirGone {
				kafkatest.Start(t)
				if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("its folder after the next start: %v, want none", err)
				}
			}
		})
	}
}

func ping(address string, timeout time.Duration) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RequestTimeoutOverhead(timeout))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return cl.Ping(ctx)
}
