package kafkatest

import (
	"os/exec"
	"runtime"
)

// process is a child that does not outlive this one (see childAttributes).
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the child is gone and waited for
	err  error         // how it ended; to be read after done
}

// startProcess starts cmd. Its wait ends when the child does.
func startProcess(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = childAttributes()
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel kills the child when the thread that made it ends, not
		// the process: keep the thread for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, <-started
}

// running reports whether there is a process and it has not ended.
func (p *process) running() bool {
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
