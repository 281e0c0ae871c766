package kafkatest

import (
	"os"
	"syscall"
)

// childAttributes lets the kernel kill the child when this process dies, and
// puts it in a process group of its own, so that an interrupt from the keyboard
// reaches only this process, which then removes the child and its files.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
func suspend(p *os.Process) error   { return p.Signal(syscall.SIGSTOP) }
func resume(p *os.Process) error    { return p.Signal(syscall.SIGCONT) }
