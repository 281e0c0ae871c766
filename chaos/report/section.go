package report

import "strings"

const (
	soakHead     = "## Soak\n"
	scheduleHead = "## The storm's schedule\n"
	notSoaked    = soakHead + "\n**Not run yet**: `make chaos-soak` has 500 subscribers come and go for half an hour, and writes here what the gateways took.\n\n"
)

// SoakOf returns the part of a page that tells of a soak, or says that there was none.
func SoakOf(page string) string {
	if from, to, ok := soakSpan(page); ok {
		return page[from:to]
	}
	return notSoaked
}

// WithSoak returns a page with what a soak has shown in place of what one had shown before.
func WithSoak(page, soak string) string {
	soak = soakHead + "\n" + strings.TrimRight(soak, "\n") + "\n\n"
	if from, to, ok := soakSpan(page); ok {
		return page[:from] + soak + page[to:]
	}
	if i := strings.Index(page, scheduleHead); i >= 0 {
		return page[:i] + soak + page[i:]
	}
	return page + soak
}

func soakSpan(page string) (from, to int, ok bool) {
	if from = strings.Index(page, soakHead); from < 0 {
		return 0, 0, false
	}
	rest := page[from+len(soakHead):]
	if next := strings.Index(rest, "\n## "); next >= 0 {
		return from, from + len(soakHead) + next + 1, true
	}
	return from, len(page), true
}
