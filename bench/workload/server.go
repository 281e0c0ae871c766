package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"paystream/bench/baseline"
	"paystream/bench/process"
	"paystream/bench/report"
	"paystream/bench/sample"
)

// server is a process that subscribers subscribe to.
type server struct {
	*process.Process
	name    string
	address string
	admin   string         // of a gateway
	child   *process.Child // of a baseline
}

func (s *server) stop() {
	if s.child != nil {
		s.child.Stop()
		return
	}
	s.Stop()
}

// gateway starts paystream on a topic and waits until it is ready. retain is how many payments it
// keeps; more flags may follow.
func (e *Env) gateway(ctx context.Context, topic sample.Topic, retain int, flags ...string) (*server, error) {
	s, err := e.startGateway(ctx, topic, retain, flags...)
	if err != nil {
		return nil, err
	}
	if err := s.awaitReady(ctx); err != nil {
		s.Kill()
		return nil, err
	}
	return s, nil
}

// readyTimeout is how long a gateway may take to start.
const readyTimeout = 30 * time.Second

// startGateway starts paystream and waits until it listens.
func (e *Env) startGateway(ctx context.Context, topic sample.Topic, retain int, flags ...string) (*server, error) {
	type listening struct {
		Msg     string `json:"msg"`
		Address string `json:"address"`
		Admin   string `json:"admin"`
	}
	addresses := make(chan listening, 1)
	p, err := process.Start(ctx, process.Command{
		Path: e.Paystream,
		Args: append([]string{
			"serve", "--kafka-brokers=" + e.brokers, "--kafka-topic=" + topic.Name,
			"--grpc-port=0", "--admin-addr=127.0.0.1:0", "--log-format=json",
			"--retain-payments=" + strconv.Itoa(retain), "--retain-bytes=1GiB",
		}, flags...),
		Dir: e.Dir, // where there is no .env
		Env: ownEnv(),
		Line: func(line []byte) {
			var l listening
			if json.Unmarshal(line, &l) == nil && l.Msg == "listening" {
				addresses <- l
			}
		},
	}, nil, nil)
	if err != nil {
		return nil, err
	}
	select {
	case l := <-addresses:
		return &server{Process: p, name: "paystream", address: l.Address, admin: l.Admin}, nil
	case <-p.Exited():
		return nil, p.Failure()
	case <-time.After(readyTimeout):
	case <-ctx.Done():
	}
	p.Kill()
	return nil, fmt.Errorf("the gateway does not listen: %w", p.Failure())
}

// ownEnv is the environment without paystream's own settings.
func ownEnv() []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "GO") || name == "PATH" || name == "HOME" || name == "TMPDIR" {
			env = append(env, v)
		}
	}
	return env
}

// awaitReady waits until the admin address says that the gateway has caught up: it speaks
// cleartext whatever the port does.
func (s *server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		ready, err := s.metric(ctx, "paystream_ready")
		if err == nil && ready == 1 {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-s.Exited():
			return s.Failure()
		case <-ctx.Done():
			return fmt.Errorf("the gateway has not become ready: %w", ctx.Err())
		}
	}
}

// spent adds what the server has used since it was started.
func (s *server) spent(m report.Metrics) error {
	cpu, err := process.CPU(s.Pid())
	if err != nil {
		return err
	}
	memory, err := process.MemoryOf(s.Pid())
	m[report.ServerCPU], m[report.PeakRSS] = cpu.Seconds(), float64(memory.Peak)
	return err
}

// get reads a page of the gateway's admin address.
func (s *server) get(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+path, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

// metric reads one of the gateway's metrics; those of all labels are added up.
func (s *server) metric(ctx context.Context, name string) (float64, error) {
	text, err := s.get(ctx, "/metrics")
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	return sumOf(text, name)
}

func sumOf(text, name string) (float64, error) {
	sum, found := 0.0, false
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || (rest[0] != ' ' && rest[0] != '{') {
			continue
		}
		fields := strings.Fields(rest[strings.LastIndexByte(rest, '}')+1:])
		if len(fields) == 0 {
			continue
		}
		v, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", name, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("there is no metric %s", name)
	}
	return sum, nil
}

// baseline starts one.
func (e *Env) baseline(ctx context.Context, kind string) (*server, error) {
	child, err := process.Self(ctx, "baseline", kind, e.sampleFile)
	if err != nil {
		return nil, err
	}
	s := &server{Process: child.Process, name: kind, child: child}
	if err := call(ctx, child, "address", process.None{}, &s.address); err != nil {
		child.Stop()
		return nil, err
	}
	return s, nil
}

// prepare has a baseline make ready what a feed will publish.
func (s *server) prepare(ctx context.Context, feed sample.Feed, eventType string) error {
	return call(ctx, s.child, "load", baseline.Load{Feed: feed, EventType: eventType}, nil)
}

// feed has a baseline publish, and returns when it has published what.
func (s *server) feed(ctx context.Context, feed sample.Feed) ([]int64, error) {
	var sent []int64
	err := call(ctx, s.child, "feed", feed, &sent)
	return sent, err
}

// feed has the broker write, and returns when it has written what.
func (e *Env) feed(ctx context.Context, feed sample.Feed) ([]int64, error) {
	var sent []int64
	err := call(ctx, e.broker, "feed", feed, &sent)
	return sent, err
}
