// Package process runs programs that are to be killed, stopped and frozen.
//
// What it guarantees:
//
//   - No process outlives this one: it is joined by [Process.Kill] or [Process.Terminate], and on Linux
//     the kernel kills it when this program dies in any other way.
//   - An interrupt from the keyboard does not reach it: each has a process group of its own.
package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Process is a program that was started.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; read behind done
}

// Command is a program to be started. What it writes is appended to the file Log.
type Command struct {
	Path string
	Args []string
	Dir  string
	Env  []string // nil is the environment of the parent
	Log  string
}

// Start starts a process.
func Start(c Command) (*Process, error) {
	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open a log: %w", err)
	}
	defer log.Close()                      // the child has its own
	cmd := exec.Command(c.Path, c.Args...) //nolint:gosec,noctx // our own programs, which are ended on purpose
	cmd.Dir, cmd.Env = c.Dir, c.Env
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attributes()
	p := &Process{name: filepath.Base(c.Path), log: c.Log, cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel kills the child when the thread that made it ends, not the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	return p, nil
}

// Pid is the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running reports whether there is a process that has not ended.
func (p *Process) Running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Failure says how the process ended, with the end of its log.
func (p *Process) Failure() error {
	err := p.err
	if err == nil {
		err = errors.New("exit status 0")
	}
	return fmt.Errorf("%s has ended: %w; its log ends:\n%s", p.name, err, p.tail())
}

// ExitError is how a process that has ended did: nil is exit code 0.
func (p *Process) ExitError() error { return p.err }

// Kill ends the process by SIGKILL, frozen or not, and returns when it is gone.
func (p *Process) Kill() {
	if p.Running() {
		_ = p.cmd.Process.Kill() // fails only when it is gone
		<-p.done
	}
}

// Terminate ends the process by SIGTERM and returns when it is gone. One that takes longer than
// patience is killed, which is an error.
func (p *Process) Terminate(patience time.Duration) error {
	if !p.Running() {
		return nil
	}
	_ = p.signal(syscall.SIGCONT) // a frozen one does not hear the other
	_ = p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(patience):
		p.Kill()
		return fmt.Errorf("%s still ran %v after SIGTERM", p.name, patience)
	}
}

// Freeze stops the process by SIGSTOP: its connections stay open, nothing answers.
func (p *Process) Freeze() error { return p.signal(syscall.SIGSTOP) }

// Thaw ends what Freeze began.
func (p *Process) Thaw() error { return p.signal(syscall.SIGCONT) }

func (p *Process) signal(s syscall.Signal) error {
	if !p.Running() {
		return fmt.Errorf("%s does not run", p.name)
	}
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("%v to %s: %w", s, p.name, err)
	}
	return nil
}

func (p *Process) tail() string {
	const most = 4 << 10
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text[max(0, len(text)-most):]))
}
