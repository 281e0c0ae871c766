package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"paystream/gen/payment"
)

// devRun is a running paystream dev.
type devRun struct {
	cmd   *exec.Cmd
	out   *bufio.Reader
	text  string        // what it printed up to the end of its welcome
	took  time.Duration // until then
	paste []string
}

func startDev(t *testing.T, env []string, args ...string) *devRun {
	t.Helper()
	d := &devRun{cmd: exec.CommandContext(t.Context(), binary, append([]string{"dev"}, args...)...)}
	d.cmd.Dir, d.cmd.Env = t.TempDir(), env
	began := time.Now()
	d.out = start(t, d.cmd)
	for !strings.Contains(d.text, "Ctrl-C ends it") {
		line, err := d.out.ReadString('\n')
		if d.text += line; err != nil {
			t.Fatalf("%v after\n%s", err, d.text)
		}
	}
	d.took = time.Since(began)
	for _, match := range regexp.MustCompile(`(?m)^  # .*\n  (.+)$`).FindAllStringSubmatch(d.text, -1) {
		d.paste = append(d.paste, strings.ReplaceAll(match[1], "go run .", binary))
	}
	return d
}

// end ends it as Ctrl-C does.
func (d *devRun) end(t *testing.T) {
	t.Helper()
	_ = d.cmd.Process.Signal(syscall.SIGINT)
	_, _ = io.ReadAll(d.out)
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

// Each line works as pasted, in a shell that knows nothing but PATH; and ten more payments come up
// in all the others at once.
func TestDevLines(t *testing.T) {
	d := startDev(t, nil, "--interval=0")
	t.Logf("streams after %v", d.took)
	produce := d.paste[len(d.paste)-1]
	if len(d.paste) != 6 || !strings.Contains(produce, "produce -count=10 -interval=100ms") {
		t.Fatalf("lines to paste: %q", d.paste)
	}
	var subscribers []*subscriber
	for _, shell := range []string{"sh", "bash"} {
		for _, command := range d.paste[:len(d.paste)-1] {
			if s := subscribe(t, shell, command); s != nil {
				subscribers = append(subscribers, s)
			}
		}
	}
	for _, s := range subscribers {
		s.read(t, devExisting)
	}
	out, err := exec.CommandContext(t.Context(), "sh", "-c", produce).Output()
	if err != nil || !strings.Contains(string(out), "10 acknowledged, 0 failed") {
		t.Fatalf("%v\n%s", err, out)
	}
	ids := regexp.MustCompile(`(?m)^pay_\w+`).FindAllString(string(out), -1)
	for _, s := range subscribers {
		got := s.read(t, len(ids))
		for _, id := range ids {
			if !strings.Contains(got, id) {
				t.Errorf("%s: %s has not come", s.command, id)
			}
		}
	}
	d.end(t)
}

// subscriber is a line that runs and prints payments.
type subscriber struct {
	command string
	lines   chan string
}

// subscribe returns nil where what the line needs is not there.
func subscribe(t *testing.T, shell, command string) *subscriber {
	t.Helper()
	for _, tool := range []string{shell, "curl", "perl", "grpcurl"} {
		if _, err := exec.LookPath(tool); err != nil && (tool == shell || strings.Contains(command, tool+" ")) {
			t.Logf("no %s: not tried: %s", tool, command)
			return nil
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, shell, "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out := start(t, cmd)
	s := &subscriber{command: shell + ": " + command, lines: make(chan string, 1000)}
	go func() {
		defer close(s.lines)
		for {
			line, err := out.ReadString('\n')
			if err != nil {
				return
			}
			s.lines <- line
		}
	}()
	t.Cleanup(func() {
		cancel()
		for range s.lines {
		}
		_ = cmd.Wait()
	})
	return s
}

// read returns the output up to and with so many payments.
func (s *subscriber) read(t *testing.T, payments int) string {
	t.Helper()
	var all strings.Builder
	timeout := time.After(time.Minute)
	for payments > 0 {
		select {
		case line, ok := <-s.lines:
			if !ok {
				t.Fatalf("%s ended after\n%s", s.command, all.String())
			}
			all.WriteString(line)
			if strings.Contains(line, `pay_`) {
				payments--
			}
		case <-timeout:
			t.Fatalf("%s: %d payments are missing after\n%s", s.command, payments, all.String())
		}
	}
	return all.String()
}

func TestDevTakesFreePorts(t *testing.T) {
	first := startDev(t, nil)
	second := startDev(t, []string{"KAFKA_SASL_USERNAME=me"})
	for _, want := range []string{
		"port 9092 is taken, so the broker has port ", "port 50051 is taken, so the gateway has a free one",
		"port 9464 is taken", "KAFKA_SASL_USERNAME in the environment or .env: not used here",
	} {
		if !strings.Contains(second.text, want) {
			t.Errorf("does not say %q:\n%s", want, second.text)
		}
	}
	produce := second.paste[len(second.paste)-1]
	tail := second.paste[len(second.paste)-2]
	if !strings.HasPrefix(produce, "KAFKA_BROKERS=127.0.0.1:") || !strings.Contains(tail, "--address=http://127.0.0.1:") {
		t.Errorf("lines for other ports:\n%s\n%s", tail, produce)
	}
	subscribe(t, "sh", tail).read(t, devExisting+2) // and they keep coming
	second.end(t)
	first.end(t)
}

func TestSignalEndsServeThatFindsNoKafka(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), binary, "--kafka-brokers=127.0.0.1:1", "--grpc-port=0", "--admin-addr=")
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"KAFKA_TOPICS=x"}
	out := start(t, cmd)
	line, err := out.ReadString('\n')
	if err != nil || !strings.Contains(line, `"key":"KAFKA_TOPICS"`) {
		t.Fatalf("no warning of the unknown key: %s %v", line, err)
	}
	time.Sleep(200 * time.Millisecond)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	rest, _ := io.ReadAll(out)
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v\n%s", err, rest)
	}
}

// The consumer labels a record, and the server filters by that label: both have to mean the same.
func TestFiltersMeanWhatTheConsumerLabels(t *testing.T) {
	d := startDev(t, nil, "--interval=0")
	defer d.end(t)
	gateway := d.gateway(t)
	list := func(query string) *paymentpb.PaymentList {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, gateway+"/payments?limit=1000"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		defer http.DefaultClient.CloseIdleConnections()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		list := &paymentpb.PaymentList{}
		if err := protojson.Unmarshal(body, list); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		return list
	}
	want := map[string]int{}
	for _, p := range list("").GetPayments() {
		want[fmt.Sprintf("&provider=%d&status=%d", p.GetProvider(), p.GetStatus())]++
	}
	if len(want) < 4 {
		t.Fatalf("the samples show little: %v", want)
	}
	for query, n := range want {
		if strings.Contains(query, "=0") {
			continue // zero is any
		}
		if got := list(query).GetPayments(); len(got) != n {
			t.Errorf("%s: %d payments, want %d", query, len(got), n)
		}
	}
}
