package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/spf13/cobra"
)

// screen is what people see of a terminal, with all that has scrolled away. It knows the sequences
// that the program may use, and keeps the others as odd.
type screen struct {
	width    int
	lines    [][]rune
	row, col int
	odd      []string
}

func newScreen(width int) *screen { return &screen{width: width, lines: [][]rune{nil}} }

var sequence = regexp.MustCompile(`^\x1b\[[0-9;?]*[A-Za-z]`)

func (s *screen) feed(text string) {
	for text != "" {
		if seq := sequence.FindString(text); seq != "" {
			switch {
			case seq == eraseBelow:
				s.lines[s.row] = s.lines[s.row][:min(s.col, len(s.lines[s.row]))]
				s.lines = s.lines[:s.row+1]
			case !strings.HasSuffix(seq, "m"):
				s.odd = append(s.odd, seq)
			}
			text = text[len(seq):]
			continue
		}
		for _, r := range text {
			s.put(r)
			text = text[len(string(r)):]
			break
		}
	}
}

func (s *screen) put(r rune) {
	switch {
	case r == '\r':
		s.col = 0
		return
	case r == '\n':
		s.down()
		return
	case r < ' ':
		s.odd = append(s.odd, string(r))
		return
	case s.col == s.width:
		s.col = 0
		s.down()
	}
	line := s.lines[s.row]
	for len(line) <= s.col {
		line = append(line, ' ')
	}
	line[s.col] = r
	s.lines[s.row] = line
	s.col++
}

func (s *screen) down() {
	if s.row++; s.row == len(s.lines) {
		s.lines = append(s.lines, nil)
	}
}

// text is all lines, without spaces at their ends.
func (s *screen) text() string {
	var b strings.Builder
	for _, line := range s.lines {
		b.WriteString(strings.TrimRight(string(line), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// bottom is the last line.
func (s *screen) bottom() string { return strings.TrimRight(string(s.lines[len(s.lines)-1]), " ") }

// terminal is a pseudo-terminal, and all that has been written to it.
type terminal struct {
	*os.File // the program's side
	master   *os.File
	done     chan struct{}

	mu  sync.Mutex
	raw bytes.Buffer
}

func newTerminal(t *testing.T, width int) *terminal {
	t.Helper()
	master, tty, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	term := &terminal{File: tty, master: master, done: make(chan struct{})}
	term.resize(t, width)
	go func() {
		defer close(term.done)
		buf := make([]byte, 32<<10)
		for {
			n, err := master.Read(buf)
			term.mu.Lock()
			term.raw.Write(buf[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		tty.Close()
		master.Close()
		<-term.done
	})
	return term
}

func (x *terminal) resize(t *testing.T, width int) {
	t.Helper()
	if err := pty.Setsize(x.master, &pty.Winsize{Rows: 24, Cols: uint16(width)}); err != nil {
		t.Fatal(err)
	}
}

func (x *terminal) written() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.raw.String()
}

// await waits until something has been written.
func (x *terminal) await(t *testing.T, what string) {
	t.Helper()
	x.awaitMatch(t, regexp.QuoteMeta(what))
}

func (x *terminal) awaitMatch(t *testing.T, pattern string) {
	t.Helper()
	expr := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(30 * time.Second); !expr.MatchString(x.written()); {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come up in\n%q", pattern, x.written())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// end returns all that was written, when the program is over.
func (x *terminal) end() string {
	x.Close()
	<-x.done
	return x.written()
}

// startOnTerminal runs the binary with a terminal of its own, whose keys are obeyed.
func startOnTerminal(t *testing.T, width int, env []string, args ...string) (*terminal, *exec.Cmd) {
	t.Helper()
	term := newTerminal(t, width)
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir, cmd.Env = t.TempDir(), append([]string{"TERM=xterm"}, env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = term.File, term.File, term.File
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return term, cmd
}

// runOn runs the program in this process with the outputs given, and returns its exit code. Errors
// stand on stderr as main prints them.
func runOn(ctx context.Context, env []string, stdout, stderr io.Writer, args ...string) int {
	err := run(ctx, args, append([]string{"TERM=xterm"}, env...), stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "paystream:", err)
	}
	return exitCode(err)
}

// shown is what is seen of what was written, and that nothing odd is in it.
func shown(t *testing.T, width int, raw string) string {
	t.Helper()
	s := newScreen(width)
	s.feed(raw)
	if len(s.odd) > 0 {
		t.Errorf("sequences that not every terminal knows: %q", s.odd)
	}
	return s.text()
}

func TestFit(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text    string
		columns int
		want    string
	}{
		"fits":         {"twelve chars", 12, "twelve chars"},
		"cut":          {"twelve chars", 11, "twelve c..."},
		"very narrow":  {"twelve chars", 4, "twel"},
		"nothing":      {"twelve chars", 0, ""},
		"less":         {"twelve chars", -3, ""},
		"wide letters": {"かなかなかなかな", 11, "かなかな..."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := fit(tt.text, tt.columns); got != tt.want || columnsOf(got) > max(0, tt.columns) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestColorChoice(t *testing.T) {
	for name, tt := range map[string]struct {
		env      []string
		choice   string
		terminal bool
		want     bool
	}{
		"a terminal":              {nil, "auto", true, true},
		"no terminal":             {nil, "auto", false, false},
		"NO_COLOR":                {[]string{"NO_COLOR=1"}, "auto", true, false},
		"an empty NO_COLOR":       {[]string{"NO_COLOR="}, "auto", true, true},
		"a dumb terminal":         {[]string{"TERM=dumb"}, "auto", true, false},
		"never":                   {nil, "never", true, false},
		"always":                  {nil, "always", false, true},
		"always, before NO_COLOR": {[]string{"NO_COLOR=1"}, "always", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := &program{env: tt.env, stdout: &bytes.Buffer{}}
			if tt.terminal {
				p.stdout = newTerminal(t, 80).File
			}
			cmd := &cobra.Command{}
			colors := p.colorFlag(cmd)
			if err := cmd.Flags().Set("color", tt.choice); err != nil {
				t.Fatal(err)
			}
			if got, err := colors(); err != nil || got != tt.want {
				t.Errorf("got %t, %v", got, err)
			}
		})
	}
}
