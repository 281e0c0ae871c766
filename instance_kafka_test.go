//go:build kafka

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long tests wait for what must happen soon.
const patience = 30 * time.Second

// instance is a gateway that reads a real Kafka, on free ports: in this process, where the race
// detector and goleak see it, or as the binary, which can be killed and measured.
type instance struct {
	address, admin string // host:port
	log            *logged
	process        *exec.Cmd     // nil in this process
	ended          chan struct{} // closed at its end
	err            error         // how it ended, after that
	stop           func()        // asks it to end, by its context or SIGTERM
}

// leaveNothing checks at the test's end that no goroutine is left that was not there when it is called,
// which is before gateways are started in this process.
func leaveNothing(t *testing.T) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
}

// startInstance starts a gateway in this process and ends it with the test.
func startInstance(t *testing.T, env ...string) *instance {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	i := &instance{log: &logged{}, ended: make(chan struct{}), stop: cancel}
	go func() {
		defer close(i.ended)
		i.err = run(ctx, []string{"serve"}, instanceEnv(env), io.Discard, i.log)
	}()
	t.Cleanup(func() {
		i.stop()
		i.awaitEnd(t)
		if i.err != nil {
			t.Errorf("the gateway ended with %v", i.err)
		}
	})
	i.awaitListening(t)
	return i
}

// startProcess starts the binary, which the test's end kills if nothing else has ended it.
func startProcess(t *testing.T, env ...string) *instance {
	t.Helper()
	cmd := exec.Command(binary, "serve")
	cmd.Dir = t.TempDir() // it has no .env
	cmd.Env = instanceEnv(env)
	i := &instance{log: &logged{}, process: cmd, ended: make(chan struct{})}
	cmd.Stderr = i.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(i.ended)
		i.err = cmd.Wait()
	}()
	i.stop = func() { _ = cmd.Process.Signal(syscall.SIGTERM) } // fails only when it has ended
	t.Cleanup(func() { i.kill(t) })
	i.awaitListening(t)
	return i
}

func instanceEnv(env []string) []string {
	return append([]string{"GRPC_PORT=0", "ADMIN_ADDR=127.0.0.1:0", "LOG_FORMAT=json"}, env...)
}

// kill ends a process by SIGKILL and returns when it is gone.
func (i *instance) kill(t *testing.T) {
	t.Helper()
	_ = i.process.Process.Kill() // fails only when it has ended
	i.awaitEnd(t)
}

func (i *instance) awaitEnd(t *testing.T) {
	t.Helper()
	select {
	case <-i.ended:
	case <-time.After(patience):
		t.Fatalf("the gateway has not ended after %v; its log:\n%s", patience, i.log)
	}
}

func (i *instance) awaitListening(t *testing.T) {
	t.Helper()
	soon(t, "the gateway listens", func() error {
		select {
		case <-i.ended:
			t.Fatalf("the gateway ended: %v\n%s", i.err, i.log)
		default:
		}
		line := i.log.find("listening")
		if line == nil {
			return fmt.Errorf("its log: %s", i.log)
		}
		i.address, i.admin = line["address"].(string), line["admin"].(string)
		return nil
	})
}

// awaitReady waits until the gateway has caught up with Kafka.
func (i *instance) awaitReady(t *testing.T) {
	t.Helper()
	soon(t, "the gateway is ready", func() error {
		if code, text := i.readyz(t); code != http.StatusOK {
			return fmt.Errorf("status %d: %s", code, text)
		}
		return nil
	})
}

func (i *instance) readyz(t *testing.T) (status int, text string) {
	t.Helper()
	return fetch(t, "http://"+i.address+"/readyz")
}

// metric returns a figure that the gateway shows at its admin address.
func (i *instance) metric(t *testing.T, name string) float64 {
	t.Helper()
	v, ok := i.tryMetric(t, name)
	if !ok {
		t.Fatalf("no metric %s", name)
	}
	return v
}

// tryMetric is metric of one that may not be there.
func (i *instance) tryMetric(t *testing.T, name string) (float64, bool) {
	t.Helper()
	_, text := fetch(t, "http://"+i.admin+"/metrics")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v, true
		}
	}
	return 0, false
}

// awaitRetained waits until the gateway has at least n payments.
func (i *instance) awaitRetained(t *testing.T, n float64) {
	t.Helper()
	soon(t, "the gateway has the payments", func() error {
		if has := i.metric(t, "paystream_retained_payments"); has < n {
			return fmt.Errorf("it has %v of %v", has, n)
		}
		return nil
	})
}

func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	status, body, err := tryFetch(url)
	if err != nil {
		t.Fatal(err)
	}
	return status, body
}

// tryFetch is fetch from a gateway that may not be there.
func tryFetch(url string) (status int, body string, err error) {
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := (&http.Client{Transport: transport, Timeout: patience}).Get(url)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// soon waits until check finds nothing wrong.
func soon(t *testing.T, what string, check func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("not after %v: %s: %v", patience, what, err)
		}
	}
}

// patiently returns a context for streams: what does not come fails the test rather than stop it.
func patiently(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// logged keeps what a gateway logs, a line of JSON each.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// find returns the first line with a message, or nil.
func (l *logged) find(message string) map[string]any {
	for line := range strings.Lines(l.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["msg"] == message {
			return fields
		}
	}
	return nil
}

// count returns how many lines hold a text.
func (l *logged) count(text string) int {
	n := 0
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}
