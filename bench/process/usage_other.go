//go:build !linux

package process

import (
	"errors"
	"time"
)

var errLinux = errors.New("the bench reads what processes cost on Linux alone")

// CPU is not known here.
func CPU(int) (time.Duration, error) { return 0, errLinux }

// ThreadCPU is not known here.
func ThreadCPU() (time.Duration, error) { return 0, errLinux }

// Memory is what a process holds, in bytes.
type Memory struct {
	RSS, Peak int64
}

// MemoryOf is not known here.
func MemoryOf(int) (Memory, error) { return Memory{}, errLinux }

// Busy is not known here.
func Busy() (time.Duration, error) { return 0, errLinux }
