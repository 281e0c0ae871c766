// Package process starts the processes of a bench, talks to them, and reads what they cost.
//
// A [Process] is joined by its Stop, which kills it if it does not end by itself. A [Child] besides
// answers calls, one at a time, as lines of JSON; [Serve] is its side of that.
package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopTimeout is how long a process may take to end.
const stopTimeout = 15 * time.Second

// Process is a program that runs.
type Process struct {
	name   string
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
	err    error         // of Wait; read behind exited
	stderr *tail
}

// Command is a program to be started.
type Command struct {
	Path string
	Args []string
	Dir  string
	Env  []string // nil is the environment of the parent
	// Line, where not nil, is called with each line of standard error.
	Line func(line []byte)
}

// Start starts a process. Its standard input and output are in and out, which may be nil.
func Start(ctx context.Context, c Command, in io.Reader, out io.Writer) (*Process, error) {
	cmd := exec.CommandContext(ctx, c.Path, c.Args...) //nolint:gosec // the bench's own programs
	cmd.Dir, cmd.Env = c.Dir, c.Env
	cmd.Stdin, cmd.Stdout = in, out
	p := &Process{
		name:   filepath.Base(c.Path) + " " + strings.Join(c.Args, " "),
		cmd:    cmd,
		exited: make(chan struct{}),
		stderr: &tail{line: c.Line},
	}
	cmd.Stderr = p.stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

// Pid is the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Failure says why a process that should still run does not, with the end of its standard error.
func (p *Process) Failure() error {
	return fmt.Errorf("%s has ended (%w): %s", p.name, p.err, p.stderr.text())
}

// Stop ends the process and waits for its end.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		p.Kill()
	}
}

// Kill ends the process at once.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// Child is a process that answers calls.
type Child struct {
	*Process
	in      *json.Encoder
	lines   *bufio.Reader
	closeIn func()
}

// Self starts this very program with other arguments, as a child.
func Self(ctx context.Context, args ...string) (*Child, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	stdin, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		_, _ = stdin.Close(), in.Close()
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	p, err := Start(ctx, Command{Path: path, Args: args}, stdin, stdout)
	_, _ = stdin.Close(), stdout.Close() // the child has them
	if err != nil {
		_, _ = in.Close(), out.Close()
		return nil, err
	}
	return &Child{
		Process: p,
		in:      json.NewEncoder(in),
		lines:   bufio.NewReader(out),
		closeIn: sync.OnceFunc(func() { _ = in.Close(); <-p.exited; _ = out.Close() }),
	}, nil
}

// Call has the child do something; result, where not nil, is filled in. When ctx ends first, the
// child is of no more use.
func (c *Child) Call(ctx context.Context, name string, args, result any) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := c.in.Encode(request{Call: name, Args: raw}); err != nil {
		return fmt.Errorf("%s: %w", name, c.ended(err))
	}
	type answer struct {
		line []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() { // ends with the child, at the latest
		line, err := c.lines.ReadBytes('\n')
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			return fmt.Errorf("%s: %w", name, c.ended(a.err))
		}
		if err := unpack(a.line, result); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	case <-ctx.Done():
		c.Kill()
		<-answers
		return fmt.Errorf("%s: %w; %s", name, context.Cause(ctx), c.stderr.text())
	}
}

func (c *Child) ended(err error) error {
	select {
	case <-c.exited:
		return c.Failure()
	case <-time.After(time.Second):
		return errors.Join(err, errors.New(c.stderr.text()))
	}
}

// Stop ends the child, which ends with its input.
func (c *Child) Stop() {
	timer := time.AfterFunc(stopTimeout, func() { _ = c.cmd.Process.Kill() })
	defer timer.Stop()
	c.closeIn()
}

// tail keeps the end of what is written to it, and hands on whole lines.
type tail struct {
	line func([]byte)

	mu      sync.Mutex
	kept    []byte
	partial []byte
}

const keepTail = 4 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - keepTail; over > 0 {
		t.kept = t.kept[over:]
	}
	if t.line == nil {
		return len(b), nil
	}
	t.partial = append(t.partial, b...)
	for {
		line, rest, ok := strings.Cut(string(t.partial), "\n")
		if !ok {
			return len(b), nil
		}
		t.line([]byte(line))
		t.partial = []byte(rest)
	}
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.kept))
}
