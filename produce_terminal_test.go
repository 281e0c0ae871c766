package main

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

func TestWhatProduceShows(t *testing.T) {
	t.Parallel()
	type seen struct{ lines, bar bool }
	const yes, no = true, false
	for name, tt := range map[string]struct {
		run                             production
		terminals, outOnly, errOnly, no seen // by which outputs are terminals
	}{
		"a few":              {production{count: 10}, seen{yes, no}, seen{yes, no}, seen{yes, no}, seen{yes, no}},
		"many":               {production{count: 1001}, seen{no, yes}, seen{yes, no}, seen{yes, yes}, seen{yes, no}},
		"as many as fit":     {production{count: 1000}, seen{yes, no}, seen{yes, no}, seen{yes, no}, seen{yes, no}},
		"slow":               {production{count: 10, interval: time.Second}, seen{yes, no}, seen{yes, no}, seen{yes, yes}, seen{yes, no}},
		"endless":            {production{interval: time.Second}, seen{yes, no}, seen{yes, no}, seen{yes, yes}, seen{yes, no}},
		"endless and fast":   {production{}, seen{no, yes}, seen{yes, no}, seen{yes, yes}, seen{yes, no}},
		"many, with --lines": {production{count: 1001, lines: true}, seen{yes, no}, seen{yes, no}, seen{yes, yes}, seen{yes, no}},
		"many, with --quiet": {production{count: 1001, quiet: true}, seen{no, no}, seen{no, no}, seen{no, no}, seen{no, no}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for outputs, want := range map[[2]bool]seen{{yes, yes}: tt.terminals, {yes, no}: tt.outOnly, {no, yes}: tt.errOnly, {no, no}: tt.no} {
				if lines, bar := tt.run.shows(outputs[0], outputs[1]); (seen{lines, bar}) != want {
					t.Errorf("with standard output and error being terminals %v: lines %t, bar %t", outputs, lines, bar)
				}
			}
		})
	}
}

const (
	barOf3000 = ` of 3,000 \(\d+%\) \[=*>? *\] +(-|\d+)/s .* left`
	count3000 = `3000 acknowledged, 0 failed, in \S+ \(topic payments\.raw\)\n`
	someLine  = `pay_\w+ \| \S+ [A-Z]{3} \| `
)

func TestProduceOnATerminal(t *testing.T) {
	t.Chdir(t.TempDir())
	kafka := "--kafka-brokers=" + startKafka(t).ListenAddrs()[0]
	for name, tt := range map[string]struct {
		env   []string
		args  []string
		raw   string // what is written, at some time
		not   string // what never is
		lines int    // with payments, that are seen in the end
		end   string // what else is
	}{
		"many":                {nil, []string{"-count=3000"}, barOf3000, someLine, 0, `^` + count3000 + `$`},
		"many, NO_COLOR":      {[]string{"NO_COLOR=1"}, []string{"-count=3000"}, barOf3000, `\x1b\[[0-9;]*m`, 0, `^` + count3000 + `$`},
		"many, as lines":      {nil, []string{"-count=3000", "--lines"}, `\x1b\[3\dm`, `\x1b\[J| left`, 3000, `^` + count3000 + `$`},
		"many, quiet":         {nil, []string{"-count=3000", "--quiet"}, `acknowledged`, `\x1b|pay_`, 0, `^` + count3000 + `$`},
		"many, on a dumb one": {[]string{"TERM=dumb"}, []string{"-count=3000"}, `acknowledged`, `\x1b`, 3000, `^` + count3000 + `$`},
		"a few":               {nil, []string{"-count=3"}, `\x1b\[3\dm`, `\x1b\[J`, 3, `^3 acknowledged, 0 failed, [^\n]+\n$`},
		"a few, no colours":   {nil, []string{"-count=3", "--color=never"}, `acknowledged`, `\x1b`, 3, `^3 acknowledged, 0 failed, [^\n]+\n$`},
	} {
		t.Run(name, func(t *testing.T) {
			term := newTerminal(t, 160)
			code := runOn(t.Context(), tt.env, term.File, term.File, append([]string{"produce", "-interval=0", kafka}, tt.args...)...)
			raw := term.end()
			if code != 0 || !regexp.MustCompile(tt.raw).MatchString(raw) || regexp.MustCompile(tt.not).MatchString(raw) {
				t.Errorf("exit code %d, written was %.2000q", code, raw)
			}
			got := shown(t, 160, raw)
			lines := regexp.MustCompile(`(?m)^` + someLine + `.*\n`)
			rest := lines.ReplaceAllString(got, "")
			if n := len(lines.FindAllString(got, -1)); n != tt.lines || !regexp.MustCompile(tt.end).MatchString(rest) {
				t.Errorf("in the end it shows %d lines and\n%.2000s", n, rest)
			}
		})
	}
}

// Lines go where they always went; the bar goes to the terminal, if there is one.
func TestProduceIntoAPipe(t *testing.T) {
	t.Chdir(t.TempDir())
	kafka := "--kafka-brokers=" + startKafka(t).ListenAddrs()[0]
	var stdout bytes.Buffer
	term := newTerminal(t, 80)
	if code := runOn(t.Context(), nil, &stdout, term.File, "produce", "-interval=0", "-count=3000", kafka); code != 0 {
		t.Errorf("exit code %d", code)
	}
	lines := regexp.MustCompile(`(?m)^` + someLine + `.*\n`)
	rest := lines.ReplaceAllString(stdout.String(), "")
	if n := len(lines.FindAllString(stdout.String(), -1)); n != 3000 || !regexp.MustCompile(`^`+count3000+`$`).MatchString(rest) || strings.Contains(stdout.String(), "\x1b") {
		t.Errorf("standard output: %.2000q", stdout.String())
	}
	raw := term.end()
	if got := shown(t, 80, raw); !regexp.MustCompile(barOf3000).MatchString(raw) || got != "\n" {
		t.Errorf("the terminal was written %.2000q and shows %q", raw, got)
	}
}

// What is said of failures stands above the bar, whole.
func TestProduceFailsOnATerminal(t *testing.T) {
	t.Chdir(t.TempDir())
	cluster := startKafka(t)
	refuse(cluster, kerr.InvalidRecord)
	term := newTerminal(t, 160)
	code := runOn(t.Context(), nil, term.File, term.File, "produce", "-interval=0", "-count=3000", "--kafka-brokers="+cluster.ListenAddrs()[0])
	raw := term.end()
	want := regexp.MustCompile(`^(1000 not acknowledged: [^\n]+\n){3}0 acknowledged, 3000 failed, in [^\n]+\npaystream: 3000 of 3000 records were not acknowledged\n$`)
	if got := shown(t, 160, raw); code != exitFailed || !want.MatchString(got) {
		t.Errorf("exit code %d, in the end it shows\n%s", code, got)
	}
	if !strings.Contains(raw, "1,000 of 3,000 (33%) [") || !strings.Contains(raw, ", 1,000 failed") {
		t.Errorf("no bar with failures in\n%q", raw)
	}
}

func TestInterruptedProduceLeavesACleanTerminal(t *testing.T) {
	kafka := startKafka(t).ListenAddrs()[0]
	for name, count := range map[string]string{"with an end": "-count=1000000", "without": "-count=0"} {
		t.Run(name, func(t *testing.T) {
			term, cmd := startOnTerminal(t, 80, nil, "produce", count, "-interval=1ms", "--kafka-brokers="+kafka)
			term.await(t, "/s")
			term.resize(t, 30)
			term.awaitMatch(t, `\r[^\r\x1b]{1,29}\x1b\[J\r`)
			term.resize(t, 80)
			if _, err := term.master.Write([]byte{3}); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("ended with %v", err)
			}
			raw := term.end()
			if got := shown(t, 80, raw); !regexp.MustCompile(`^\d+ acknowledged, 0 failed, (\d+ not sent, )?in \S+ \(topic payments\.raw\)\n$`).MatchString(got) {
				t.Errorf("in the end it shows\n%s", got)
			}
		})
	}
}

func TestLinesAndQuietExcludeEachOther(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, args := range [][]string{{"produce", "--lines", "--quiet"}, {"produce", "--color=sometimes"}, {"tail", "--color=sometimes"}} {
		if got := runInProcess(context.Background(), nil, args...); got.code != exitUsage || got.stdout != "" {
			t.Errorf("%q: exit code %d: %s", args, got.code, got.stderr)
		}
	}
}
