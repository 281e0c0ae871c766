// Package faulty builds gateways that do wrong with one payment in many, to try the judge with: the
// tree's own gateway, of which one file is replaced while it is compiled (go build -overlay).
package faulty

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"paystream/chaos/world"
)

// Wrong is what a gateway does with a payment.
type Wrong string

// The wrongs.
const (
	Drop      Wrong = "drop"
	Duplicate Wrong = "duplicate"
	Swap      Wrong = "swap" // with the next one of its partition
)

// Wrongs are all of them.
func Wrongs() []Wrong { return []Wrong{Drop, Duplicate, Swap} }

const (
	file = "server/frames.go"
	call = "dst = frame(dst, &w.entry, eventType, w.cursor)\n"
	head = "func (s *Server) render(frame appendEvent, eventType string, epochs func(broadcast.Vector) []int32) broadcast.Render {\n"
)

// replacements take the place of the call that makes a payment's frame; %d is the many.
var replacements = map[Wrong]string{
	Drop: `if e.Offset%%%[1]d != %[1]d-1 {
			dst = frame(dst, &w.entry, eventType, w.cursor)
		}
`,
	Duplicate: `if e.Offset%%%[1]d == %[1]d-1 {
			dst = frame(dst, &w.entry, eventType, w.cursor)
		}
		dst = frame(dst, &w.entry, eventType, w.cursor)
`,
	Swap: `if e.Offset%%%[1]d == %[1]d-1 {
			held.Store(e.Partition, frame(nil, &w.entry, eventType, w.cursor))
		} else {
			dst = frame(dst, &w.entry, eventType, w.cursor)
			if late, ok := held.LoadAndDelete(e.Partition); ok {
				dst = append(dst, late.([]byte)...)
			}
		}
`,
}

// Build builds a gateway from the sources in root that does wrong with one payment in many, of each
// partition.
func Build(ctx context.Context, root, dir string, wrong Wrong, many int) (binary string, err error) {
	overlay, err := writeOverlay(root, dir, wrong, many)
	if err != nil {
		return "", fmt.Errorf("make a gateway %s: %w", wrong, err)
	}
	binary = filepath.Join(dir, "paystream-"+string(wrong))
	return binary, world.Build(ctx, root, binary, "-overlay", overlay)
}

var errChanged = errors.New(file + " is no longer what was to be replaced: see package faulty")

func writeOverlay(root, dir string, wrong Wrong, many int) (path string, err error) {
	original, err := filepath.Abs(filepath.Join(root, file))
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(original) //nolint:gosec // our own sources
	if err != nil {
		return "", err
	}
	if bytes.Count(text, []byte(call)) != 1 || bytes.Count(text, []byte(head)) != 1 {
		return "", errChanged
	}
	text = bytes.Replace(text, []byte(call), fmt.Appendf(nil, replacements[wrong], many), 1)
	if wrong == Swap {
		text = bytes.Replace(text, []byte(head), []byte(head+"	var held sync.Map\n"), 1)
	}
	replaced := filepath.Join(dir, string(wrong)+".go")
	if err := os.WriteFile(replaced, text, 0o600); err != nil { //nolint:gosec // a file of the test's own folder
		return "", err
	}
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{original: replaced}})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, string(wrong)+".json")
	return path, os.WriteFile(path, list, 0o600)
}
