package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"paystream/gen/payment"
)

// counted counts what is written through it.
type counted struct {
	io.Writer
	writes int
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes++
	return c.Writer.Write(p)
}

// onScreen is a terminal view, and what is seen of it.
type onScreen struct {
	*terminalView
	seen     *screen
	out, err *counted
}

func newOnScreen(colors bool) *onScreen {
	s := newScreen(80)
	feed := writerFunc(func(p []byte) (int, error) {
		s.feed(strings.ReplaceAll(string(p), "\n", "\r\n")) // as terminals do
		return len(p), nil
	})
	o := &onScreen{seen: s, out: &counted{Writer: feed}, err: &counted{Writer: feed}}
	bottom := &bottomLine{w: o.err, width: func() int { return s.width }}
	o.terminalView = newTerminalView(o.out, bottom, linePrinter(colors), "http://gateway", colors)
	return o
}

// look looks at the screen and at what was written, when all has come to rest.
func look[T any](o *onScreen, at func() T) T {
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	return at()
}

func (o *onScreen) text() string { return look(o, o.seen.text) }
func (o *onScreen) last() string { return look(o, o.seen.bottom) }
func (o *onScreen) resize(width int) {
	look(o, func() any { o.seen.width = width; return nil })
}

// written is how many writes there were of lines and of the line below since the last call, and how
// many bytes wait.
func (o *onScreen) written() (lines, below, waiting int) {
	w := look(o, func() [3]int {
		n := [3]int{o.out.writes, o.err.writes, o.waiting.Len()}
		o.out.writes, o.err.writes = 0, 0
		return n
	})
	return w[0], w[1], w[2]
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func numbered(i int) *paymentpb.PaymentEvent {
	return &paymentpb.PaymentEvent{Payment: &paymentpb.Payment{
		Id: "pay_" + strconv.Itoa(i), Provider: paymentpb.Provider_PROVIDER_STRIPE, Status: paymentpb.PaymentStatus_STATUS_COMPLETED,
		Amount: 50, AmountMinor: proto.Int64(5000), Currency: "USD",
	}}
}

func numberedLine(i int) string { return fmt.Sprintf("pay_%d | $50.00 USD | STRIPE | COMPLETED\n", i) }

func numberedLines(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		b.WriteString(numberedLine(i))
	}
	return b.String()
}

func TestTerminalViewShowsHowItIsGettingOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newOnScreen(false)
		expect := func(want string) {
			t.Helper()
			if got := v.last(); got != want {
				t.Errorf("shows %q, want %q", got, want)
			}
		}
		v.enter(tailState{phase: connecting})
		expect("connecting  http://gateway")
		v.enter(tailState{phase: existing})
		expect("existing  0.0/s  http://gateway")
		for i := range 50 {
			if err := v.event(numbered(i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		expect("existing  50 received  50/s  http://gateway")
		v.enter(tailState{phase: live})
		expect("live  50 received  0.0/s  http://gateway")
		for range 20 {
			time.Sleep(500 * time.Millisecond)
			_ = v.event(numbered(0))
		}
		expect("live  70 received  2.0/s  http://gateway")
		time.Sleep(7 * time.Second)
		expect("live  70 received  0.0/s  http://gateway")
		v.enter(tailState{retrying, time.Now().Add(3 * time.Second), "connection refused"})
		expect("retrying in 3 s: connection refused  70 received  http://gateway")
		time.Sleep(1100 * time.Millisecond)
		expect("retrying in 2 s: connection refused  70 received  http://gateway")
		v.resize(60)
		time.Sleep(time.Second)
		expect("retrying in 1 s: connection refused  70 received")
		v.resize(40)
		time.Sleep(time.Second)
		expect("retrying in 0 s: connec...  70 received")
		v.resize(9)
		time.Sleep(time.Second)
		if got := v.last(); len(got) > 8 {
			t.Errorf("shows %q in 9 columns", got)
		}
		if err := v.close(); err != nil {
			t.Error(err)
		}
		expect("")
	})
}

func TestTerminalViewPrintsAtOnceAndInBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newOnScreen(false)
		v.enter(tailState{phase: live})
		time.Sleep(redrawEvery)
		_ = v.event(numbered(0))
		if got, want := v.text(), numberedLine(0)+"live  1 received"; !strings.HasPrefix(got, want) {
			t.Errorf("one alone is not printed at once:\n%s", got)
		}
		v.written()
		for i := 1; i < 1000; i++ {
			_ = v.event(numbered(i))
		}
		if lines, _, _ := v.written(); lines > 0 {
			t.Errorf("%d writes within a moment", lines)
		}
		time.Sleep(redrawEvery)
		if got, want := v.text(), numberedLines(0, 1000)+"live  1,000 received"; !strings.HasPrefix(got, want) {
			t.Errorf("a batch is not printed when it is due:\n%s", got)
		}
		if lines, below, _ := v.written(); lines != 1 || below > 2 {
			t.Errorf("%d writes of lines, %d of the line below, for one batch", lines, below)
		}

		// A flood is held up by the terminal, not by the clock, and not kept in memory.
		for i := 1000; i < 10_000; i++ {
			_ = v.event(numbered(i))
		}
		if lines, _, waiting := v.written(); lines < 5 || waiting > viewBuffer {
			t.Errorf("%d writes, %d bytes are waiting", lines, waiting)
		}
		v.say("something happened")
		if got, want := v.text(), numberedLines(0, 10_000)+"something happened\nlive  "; !strings.HasPrefix(got, want) {
			t.Error("what is said does not stand where it was said")
		}
		_ = v.event(numbered(10_000))
		if err := v.close(); err != nil {
			t.Error(err)
		}
		if got, want := v.text(), numberedLines(0, 10_000)+"something happened\n"+numberedLine(10_000); got != want {
			t.Errorf("in the end there are %d lines, want %d", strings.Count(got, "\n"), strings.Count(want, "\n"))
		}
		if len(v.seen.odd) > 0 {
			t.Errorf("odd sequences: %q", v.seen.odd)
		}
	})
}

func TestTerminalViewTellsThatItCannotPrint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		v := newOnScreen(false)
		v.out.Writer = writerFunc(func([]byte) (int, error) { return 0, gone })
		err := v.event(numbered(0))
		if closeErr := v.close(); !errors.Is(err, gone) || !errors.Is(closeErr, gone) {
			t.Errorf("got %v, and %v at the end", err, closeErr)
		}
	})
}

// tailOn runs tail against a gateway, in this process.
func tailOn(t *testing.T, env []string, stdout, stderr io.Writer, answers []answer, args ...string) int {
	t.Helper()
	t.Chdir(t.TempDir())
	g := &gateway{answers: answers}
	return runOn(t.Context(), env, stdout, stderr, append([]string{"tail", "--address=" + g.serveOn(t, nil).URL}, args...)...)
}

func TestTailOnATerminal(t *testing.T) {
	const lines = "pay_0-0 | $50.00 USD | STRIPE | COMPLETED\npay_0-1 | $50.00 USD | STRIPE | COMPLETED\n"
	answers := func() []answer {
		return []answer{parts(header("start"), event(0, 0), wait(300*time.Millisecond), event(0, 1), silent)}
	}
	colors := regexp.MustCompile(`\x1b\[[0-9;]*m`)
	for name, tt := range map[string]struct {
		env    []string
		args   []string
		colors bool
		below  bool // the line
	}{
		"as it is":          {nil, nil, true, true},
		"NO_COLOR":          {[]string{"NO_COLOR=1"}, nil, false, true},
		"without colours":   {nil, []string{"--color=never"}, false, true},
		"a dumb terminal":   {[]string{"TERM=dumb"}, nil, false, false},
		"colours, although": {[]string{"NO_COLOR=1"}, []string{"--color=always"}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			term := newTerminal(t, 80)
			code := tailOn(t, tt.env, term.File, term.File, answers(), append(tt.args, "-count=2")...)
			raw := term.end()
			if got := shown(t, 80, raw); code != 0 || !regexp.MustCompile(`^connected to http://\S+\n`+regexp.QuoteMeta(lines)+"$").MatchString(got) {
				t.Errorf("exit code %d, in the end it shows\n%s", code, got)
			}
			if colors.MatchString(raw) != tt.colors || strings.Contains(raw, green+"COMPLETED"+plainText) != tt.colors {
				t.Errorf("colours, or none:\n%q", raw)
			}
			if plain := colors.ReplaceAllString(raw, ""); strings.Contains(plain, "connecting  http://") != tt.below || strings.Contains(plain, "\x1b") != tt.below {
				t.Errorf("a line below, or none:\n%q", raw)
			}
		})
	}
}

// Scripts get what they always got, whatever the other output is.
func TestTailInAPipe(t *testing.T) {
	const line = "pay_0-0 | $50.00 USD | STRIPE | COMPLETED\n"
	answers := []answer{parts(header("start"), event(0, 0), silent)}
	t.Run("both", func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		if tailOn(t, nil, &stdout, &stderr, answers, "-count=1"); stdout.String() != line || strings.Contains(stderr.String(), "\x1b") {
			t.Errorf("got %q and %q", stdout.String(), stderr.String())
		}
	})
	t.Run("only the payments", func(t *testing.T) {
		var stdout bytes.Buffer
		stderr := newTerminal(t, 80)
		tailOn(t, nil, &stdout, stderr.File, answers, "-count=1")
		if said := stderr.end(); stdout.String() != line || !regexp.MustCompile(`^connected to \S+\r\n$`).MatchString(said) {
			t.Errorf("got %q and %q", stdout.String(), said)
		}
	})
	t.Run("only the payments, in JSON", func(t *testing.T) {
		var stdout bytes.Buffer
		stderr := newTerminal(t, 80)
		tailOn(t, nil, &stdout, stderr.File, answers, "-count=1", "-json")
		if said := stderr.end(); !strings.HasPrefix(stdout.String(), `{"payment":{"id":"pay_0-0"`) || strings.Contains(said, "\x1b") {
			t.Errorf("got %q and %q", stdout.String(), said)
		}
	})
	t.Run("only what is said", func(t *testing.T) {
		stdout := newTerminal(t, 80)
		var stderr bytes.Buffer
		tailOn(t, []string{"NO_COLOR=1"}, stdout.File, &stderr, answers, "-count=1")
		if printed := stdout.end(); printed != strings.ReplaceAll(line, "\n", "\r\n") || strings.Contains(stderr.String(), "\x1b") {
			t.Errorf("got %q and %q", printed, stderr.String())
		}
	})
	t.Run("in colour, as told to", func(t *testing.T) {
		var stdout, stderr bytes.Buffer
		tailOn(t, nil, &stdout, &stderr, answers, "-count=1", "--color=always")
		if want := "pay_0-0 | $50.00 USD | " + faint + "STRIPE" + plainText + " | " + green + "COMPLETED" + plainText + "\n"; stdout.String() != want {
			t.Errorf("got %q", stdout.String())
		}
	})
}

// While a gateway is away, the line below says so and why; when the tail ends, it leaves nothing.
func TestTailOnATerminalLosesItsGateway(t *testing.T) {
	t.Chdir(t.TempDir())
	g := &gateway{answers: []answer{parts(event(0, 0), silent)}}
	server := g.serveOn(t, nil)
	term := newTerminal(t, 160)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan int, 1)
	go func() {
		done <- runOn(ctx, []string{"NO_COLOR=1"}, term.File, term.File, "tail", "--address="+server.URL)
	}()
	term.await(t, "live  1 received  ")
	server.CloseClientConnections()
	server.Listener.Close()
	term.await(t, "retrying in ")
	term.resize(t, 40)
	term.await(t, "...  1 received"+eraseBelow)
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("exit code %d", code)
	}
	raw := term.end()
	if got := shown(t, 160, raw); !strings.HasSuffix(got, "; trying again\n") || strings.Contains(got, "retrying") {
		t.Errorf("in the end it shows\n%s", got)
	}
}

// Ctrl-C on a terminal echoes ^C into the line below: it goes with it.
func TestCtrlCLeavesACleanTerminal(t *testing.T) {
	g := &gateway{answers: []answer{parts(event(0, 0), silent)}}
	term, cmd := startOnTerminal(t, 80, nil, "tail", "--address="+g.serveOn(t, nil).URL)
	term.await(t, "1 received")
	if _, err := term.master.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
	raw := term.end()
	if !strings.Contains(raw, "^C") {
		t.Errorf("no ^C was echoed: %q", raw)
	}
	if got := shown(t, 80, raw); !regexp.MustCompile(`^connected to \S+\npay_0-0 \| [^\n]+\n$`).MatchString(got) {
		t.Errorf("in the end it shows\n%s", got)
	}
}
