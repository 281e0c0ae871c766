package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// CPU returns the user and system time that a process has used, all its threads together, those
// that have ended included. It is the process's CPU clock: what getrusage says too, but of another
// process, and to the nanosecond where /proc/<pid>/stat counts in hundredths of a second.
func CPU(pid int) (time.Duration, error) {
	const cpuClockOfProcess = 2 // CPUCLOCK_SCHED, see clock_getcpuclockid(3)
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuClockOfProcess), &t); err != nil {
		return 0, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// ThreadCPU returns the CPU time of the thread that calls it; see runtime.LockOSThread.
func ThreadCPU() (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0, fmt.Errorf("read the CPU time of a thread: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// Memory is what a process holds, in bytes.
type Memory struct {
	RSS, Peak int64
}

// MemoryOf returns a process's memory.
func MemoryOf(pid int) (Memory, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return Memory{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	m := Memory{RSS: kilobytes(b, "VmRSS:"), Peak: kilobytes(b, "VmHWM:")}
	if m.RSS == 0 || m.Peak == 0 {
		return Memory{}, fmt.Errorf("read the memory of process %d: no such lines", pid)
	}
	return m, nil
}

// kilobytes returns the bytes that a line like "VmRSS:   1234 kB" tells.
func kilobytes(status []byte, name string) int64 {
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte(name)); ok {
			number, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
			n, _ := strconv.ParseInt(string(number), 10, 64)
			return n << 10
		}
	}
	return 0
}

// Busy returns the time that all cores together have been busy since the machine started, other
// machines' on the same host (steal) included.
func Busy() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("read the machine's CPU time: %w", err)
	}
	return busy(b)
}

// busy reads the first line: cpu user nice system idle iowait irq softirq steal guest guest_nice,
// guest being part of user.
func busy(stat []byte) (time.Duration, error) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, fmt.Errorf("read the machine's CPU time: no such line: %s", line)
	}
	const idle, iowait, steal = 4, 5, 8
	const perSecond = 100 // USER_HZ, the same on all machines that Go runs on
	var ticks int64
	for i, field := range fields[1 : steal+1] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the machine's CPU time: %w", err)
		}
		if i+1 != idle && i+1 != iowait {
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / perSecond, nil
}
