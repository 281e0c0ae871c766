package main

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// obeys reports whether w is a terminal that obeys escape sequences.
func (p *program) obeys(w io.Writer) bool {
	return isTerminal(w) && p.getenv("TERM") != "dumb"
}

// getenv is os.Getenv on the program's environment: of several the last counts.
func (p *program) getenv(name string) string {
	for _, entry := range slices.Backward(p.env) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// colorFlag adds --color to a command, and returns what says whether standard output has colours.
func (p *program) colorFlag(cmd *cobra.Command) func() (bool, error) {
	choices := []string{"auto", "always", "never"}
	choice := cmd.Flags().String("color", choices[0], "`when` there are colours: auto (on a terminal, unless NO_COLOR is set), always or never")
	_ = cmd.RegisterFlagCompletionFunc("color", cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	return func() (bool, error) {
		switch *choice {
		case "auto":
			return p.obeys(p.stdout) && p.getenv("NO_COLOR") == "", nil
		case "always":
			return true, nil
		case "never":
			return false, nil
		}
		return false, badUsage(errors.New("--color: " + *choice + " is not auto, always or never"))
	}
}

// Escape sequences, those that every terminal knows.
const (
	eraseBelow = "\x1b[J" // from the cursor to the end of the screen
	faint      = "\x1b[2m"
	red        = "\x1b[31m"
	green      = "\x1b[32m"
	yellow     = "\x1b[33m"
	magenta    = "\x1b[35m"
	plainText  = "\x1b[0m"
)

// bottomLine is a line that stays at the bottom of a terminal and is redrawn in place, while lines
// that are printed go above it: clear, print, draw. The cursor rests at its start, so that one erase
// takes all of it away, also where a terminal that has become narrower has wrapped it. It is not safe
// for concurrent use.
type bottomLine struct {
	w     io.Writer
	width func() int
	drawn bool
}

// bottomLineOn draws on a terminal.
func bottomLineOn(w io.Writer) *bottomLine {
	return &bottomLine{w: w, width: func() int { return widthOf(w) }}
}

// widthOf is how many columns a terminal has.
func widthOf(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width
		}
	}
	return 80 // what a terminal has that does not say
}

// columns is how wide a text may be: one less than the terminal, so that none wraps by itself.
func (l *bottomLine) columns() int { return max(1, l.width()-1) }

// draw shows a text in place of the one before. It must fit; sequences for colours take no room.
func (l *bottomLine) draw(text string) {
	l.drawn = true
	_, _ = io.WriteString(l.w, "\r"+text+eraseBelow+"\r") // a terminal that is gone shows nothing
}

// clear takes the line away.
func (l *bottomLine) clear() {
	if l.drawn {
		l.drawn = false
		_, _ = io.WriteString(l.w, "\r"+eraseBelow)
	}
}

// fit cuts a text without colours to so many columns.
func fit(text string, columns int) string {
	if columns < 10 {
		return runewidth.Truncate(text, max(0, columns), "")
	}
	return runewidth.Truncate(text, columns, "...")
}

func columnsOf(text string) int { return runewidth.StringWidth(text) }
