package process_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"paystream/bench/process"
)

type sum struct{ A, B int }

// TestMain is also the child that the tests start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		err := process.Serve(os.Stdin, os.Stdout, process.Calls{
			"add":   process.Handle(func(s sum) (int, error) { return s.A + s.B, nil }),
			"fail":  process.Handle(func(process.None) (int, error) { return 0, errors.New("it fails") }),
			"spin":  process.Handle(spin),
			"sleep": process.Handle(func(d time.Duration) (process.None, error) { time.Sleep(d); return process.None{}, nil }),
			"exit": process.Handle(func(process.None) (process.None, error) {
				os.Stderr.WriteString("last words")
				os.Exit(3)
				return process.None{}, nil
			}),
		})
		if err != nil {
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// spin uses CPU for some time and returns how much, as getrusage has it.
func spin(d time.Duration) (time.Duration, error) {
	n := 0
	for begin := time.Now(); time.Since(begin) < d; n++ {
		runtime.KeepAlive(n)
	}
	return rusage(), nil
}

func child(t *testing.T) *process.Child {
	t.Helper()
	c, err := process.Self(t.Context(), "child")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Stop)
	return c
}

func TestCallsAreAnswered(t *testing.T) {
	c := child(t)
	var got int
	for i := range 3 {
		if err := c.Call(t.Context(), "add", sum{i, 2}, &got); err != nil || got != i+2 {
			t.Fatalf("%d, %v", got, err)
		}
	}
	for name, want := range map[string]string{"fail": "it fails", "nothing": "there is no call nothing"} {
		if err := c.Call(t.Context(), name, process.None{}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.Call(t.Context(), "add", "text", &got); err == nil {
		t.Error("arguments of another kind are taken")
	}
}

func TestEndOfAChildIsTold(t *testing.T) {
	err := child(t).Call(t.Context(), "exit", process.None{}, nil)
	if err == nil || !strings.Contains(err.Error(), "last words") || !strings.Contains(err.Error(), "exit status 3") {
		t.Error(err)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	c := child(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := c.Call(ctx, "sleep", time.Minute, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestCPU compares the clock that is read from outside with what the process itself is told.
func TestCPU(t *testing.T) {
	c := child(t)
	before, err := process.CPU(c.Pid())
	if err != nil {
		t.Fatal(err)
	}
	var own time.Duration
	if err := c.Call(t.Context(), "spin", 200*time.Millisecond, &own); err != nil {
		t.Fatal(err)
	}
	after, err := process.CPU(c.Pid())
	if err != nil {
		t.Fatal(err)
	}
	if off := (after - own).Abs(); off > 20*time.Millisecond {
		t.Errorf("the CPU clock says %v, getrusage in the process %v", after, own)
	}
	// On a busy machine it gets less than it takes.
	if used := after - before; used < 20*time.Millisecond || used > 400*time.Millisecond {
		t.Errorf("200 ms of spinning used %v", used)
	}
	if _, err := process.CPU(1 << 22); err == nil {
		t.Error("a process that is not there has used CPU")
	}
}

func TestMemory(t *testing.T) {
	m, err := process.MemoryOf(os.Getpid())
	if err != nil || m.RSS < 1<<20 || m.Peak < m.RSS || m.Peak > 8<<30 {
		t.Errorf("%+v, %v", m, err)
	}
	kept := make([]byte, 32<<20)
	before := process.OwnHeap()
	if before.Alloc < int64(len(kept)) || before.Stacks <= 0 {
		t.Errorf("%+v", before)
	}
	kept[0] = 1
	if after := process.OwnHeap(); before.Alloc-after.Alloc < 31<<20 {
		t.Errorf("32 MiB are not missed: %+v, then %+v", before, after)
	}
}

func TestBusyGrows(t *testing.T) {
	before, err := process.Busy()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := spin(100 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	after, err := process.Busy()
	if err != nil || after-before < 20*time.Millisecond {
		t.Errorf("from %v to %v, %v", before, after, err)
	}
}

func TestProcessTellsItsLines(t *testing.T) {
	lines := make(chan string, 3)
	p, err := process.Start(t.Context(), process.Command{
		Path: "/bin/sh", Args: []string{"-c", "echo one >&2; printf 'two\nthr' >&2; echo ee >&2; exit 5"},
		Line: func(line []byte) { lines <- string(line) },
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one", "two", "three"} {
		if got := <-lines; got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	<-p.Exited()
	if err := p.Failure(); !strings.Contains(err.Error(), "three") || !strings.Contains(err.Error(), "exit status 5") {
		t.Error(err)
	}
	p.Stop()
}
