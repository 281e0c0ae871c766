// Package web holds what the gateway shows in a browser. So far that is one page, without scripts,
// that says what runs here and how to subscribe: made once, served from memory, blocking on nothing.
// It shows no payment, so order and loss are none of its business.
package web

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
)

//go:embed page.html
var page string

// Line is a command to paste into a shell, and what it is.
type Line struct{ Label, Command string }

// contentPolicy lets the page load nothing at all but its own style.
const contentPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Page returns the page for a gateway of a topic, with lines to paste. It is made once.
func Page(topic string, lines []Line) (http.Handler, error) {
	parsed, err := template.New("page").Parse(page)
	if err != nil {
		return nil, fmt.Errorf("parse page: %w", err)
	}
	var b bytes.Buffer
	err = parsed.Execute(&b, struct {
		Topic string
		Lines []Line
	}{topic, lines})
	if err != nil {
		return nil, fmt.Errorf("make page: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache")
		_, _ = w.Write(b.Bytes()) // fails only with the connection
	}), nil
}
