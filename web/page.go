// Package web holds what the gateway shows in a browser: the dashboard, which is built from the npm
// workspaces in this folder (npm run build) and embedded. What it guarantees:
//
//   - Blocking. Everything is read, filled in and compressed once, and then served from memory.
//   - Nothing else is served than what was built, and a browser that keeps to the page's policy loads
//     nothing from elsewhere, runs no script that was not built, and shows it in nobody's frame.
//
// The dashboard gets its payments as every client does, so order and loss are none of its business.
package web

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
)

//go:embed all:dist
var embedded embed.FS

// Line is a command to paste into a shell, and what it is.
type Line struct {
	Label   string `json:"label"`
	Command string `json:"command"`
}

// Page returns what serves the dashboard of a gateway of a topic, with lines to paste: / and /assets/.
func Page(topic string, lines []Line) (http.Handler, error) {
	dist, err := fs.Sub(embedded, "dist")
	if err != nil {
		return nil, fmt.Errorf("open the dashboard: %w", err)
	}
	return newPage(dist, topic, lines)
}

// page is all that is served, by path.
type page map[string]*file

func newPage(dist fs.FS, topic string, lines []Line) (page, error) {
	p := page{}
	err := fs.WalkDir(dist, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(dist, name)
		if err != nil {
			return err
		}
		switch {
		case name == "index.html":
			if content, err = fillIn(content, topic, lines); err == nil {
				p["/"], err = newFile(name, content, "no-cache")
			}
		case strings.HasPrefix(name, "assets/"):
			// Their names change with their content.
			p["/"+name], err = newFile(name, content, "public, max-age=31536000, immutable")
		default:
			err = errors.New("it is neither index.html nor in assets/")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
	if err == nil && p["/"] == nil {
		err = errors.New("index.html is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("load the dashboard: %w", err)
	}
	return p, nil
}

// placeholder is where index.html gets to know its gateway. A script of this type is data.
const (
	placeholderStart = `<script type="application/json" id="gateway">`
	placeholder      = placeholderStart + `{}</script>`
)

func fillIn(index []byte, topic string, lines []Line) ([]byte, error) {
	if n := bytes.Count(index, []byte(placeholder)); n != 1 {
		return nil, fmt.Errorf("it has %s %d times, want once", placeholder, n)
	}
	// json escapes < > and &, so that nothing can end the element.
	gateway, err := json.Marshal(struct {
		Topic string `json:"topic"`
		Lines []Line `json:"lines"`
	}{topic, append([]Line{}, lines...)})
	if err != nil {
		return nil, err
	}
	filled := placeholderStart + string(gateway) + "</script>"
	return bytes.Replace(index, []byte(placeholder), []byte(filled), 1), nil
}

// contentPolicy lets the dashboard load its own files and call its own gateway, and nothing else.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// permissions are those that a script which should not be there would ask for.
const permissions = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), " +
	"microphone=(), midi=(), payment=(), usb=()"

// ServeHTTP implements [http.Handler].
func (p page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", permissions)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "405 method not allowed", http.StatusMethodNotAllowed)
		return
	}
	f, ok := p[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	f.serve(w, r)
}
