//go:build !linux

package kafkatest

import (
	"errors"
	"os"
	"syscall"
)

// Elsewhere a broker outlives a test process that is killed outright, and
// cannot be paused.

var errPause = errors.New("pausing the broker works on Linux only")

func childAttributes() *syscall.SysProcAttr { return nil }

func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
func suspend(*os.Process) error     { return errPause }
func resume(*os.Process) error      { return errPause }
