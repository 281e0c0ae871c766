package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// file is one thing that is served, in each of its encodings.
type file struct {
	contentType  string
	cacheControl string
	plain        variant
	gzip         *variant // nil where compressing does not pay
}

// variant is a file in one encoding. The encodings have tags of their own: other bytes, another tag.
type variant struct {
	body []byte
	etag string
}

// contentTypes are ours, since a machine's own list may call a script plain text, and a browser then
// does not run it.
func contentTypes() map[string]string {
	return map[string]string{
		".css":         "text/css; charset=utf-8",
		".html":        "text/html; charset=utf-8",
		".ico":         "image/x-icon",
		".js":          "text/javascript; charset=utf-8",
		".json":        "application/json",
		".png":         "image/png",
		".svg":         "image/svg+xml",
		".webmanifest": "application/manifest+json",
		".woff2":       "font/woff2",
	}
}

func newFile(name string, content []byte, cacheControl string) (*file, error) {
	contentType, ok := contentTypes()[path.Ext(name)]
	if !ok {
		return nil, fmt.Errorf("content type %q is not known", path.Ext(name))
	}
	f := &file{contentType: contentType, cacheControl: cacheControl, plain: newVariant(content)}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if b.Len() < len(content) {
		compressed := newVariant(b.Bytes())
		f.gzip = &compressed
	}
	return f, nil
}

func newVariant(body []byte) variant {
	sum := sha256.Sum256(body)
	return variant{body, `"` + hex.EncodeToString(sum[:16]) + `"`}
}

// serve answers GET and HEAD.
func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", f.cacheControl)
	v := &f.plain
	if f.gzip != nil {
		h.Add("Vary", "Accept-Encoding") // CORS has its own
		if acceptsGzip(r.Header) {
			v = f.gzip
		}
	}
	h.Set("ETag", v.etag)
	if matches(r.Header, v.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Length", strconv.Itoa(len(v.body)))
	if v == f.gzip {
		h.Set("Content-Encoding", "gzip")
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(v.body) // fails only with the connection
	}
}

// acceptsGzip reports whether the client asks for gzip by name, and not with a weight of zero.
func acceptsGzip(h http.Header) bool {
	for _, header := range h.Values("Accept-Encoding") {
		for part := range strings.SplitSeq(header, ",") {
			coding, weight, _ := strings.Cut(part, ";")
			if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
				continue
			}
			q, weighted := strings.CutPrefix(strings.ToLower(strings.TrimSpace(weight)), "q=")
			n, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
			return !weighted || err != nil || n > 0
		}
	}
	return false
}

// matches reports whether the client has what the tag stands for.
func matches(h http.Header, etag string) bool {
	for _, header := range h.Values("If-None-Match") {
		for tag := range strings.SplitSeq(header, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}
