package web

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const index = "<!doctype html><head>" + placeholder + "</head>"

// built is a small dashboard.
func built(more ...string) fstest.MapFS {
	files := fstest.MapFS{
		"index.html":            {Data: []byte(index)},
		"assets/app-1a2b3c.js":  {Data: []byte(strings.Repeat("script();\n", 100))},
		"assets/dot-1a2b3c.png": {Data: []byte("\x89PNG")},
	}
	for i := 0; i < len(more); i += 2 {
		files[more[i]] = &fstest.MapFile{Data: []byte(more[i+1])}
	}
	return files
}

func mustPage(t *testing.T, files fs.FS, topic string, lines ...Line) http.Handler {
	t.Helper()
	p, err := newPage(files, topic, lines)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func get(h http.Handler, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func body(t *testing.T, res *httptest.ResponseRecorder) string {
	t.Helper()
	var reader io.Reader = res.Body
	if res.Header().Get("Content-Encoding") == "gzip" {
		var err error
		if reader, err = gzip.NewReader(res.Body); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPageKnowsItsGateway(t *testing.T) {
	t.Parallel()
	type gateway struct {
		Topic string `json:"topic"`
		Lines []Line `json:"lines"`
	}
	for _, want := range []gateway{
		{"payments.raw", []Line{{"NDJSON, with curl", `printf '\000{}' | curl "http://x?a=1&b=2" > out`}}},
		{`</script><!--<script>"\` + "\u2028", []Line{{"</SCRIPT>", "<![CDATA[ ' --> ]]>"}, {"", "\x00\xff"}}},
		{"none", []Line{}},
	} {
		text := body(t, get(mustPage(t, built(), want.Topic, want.Lines...), "GET", "/"))
		_, rest, _ := strings.Cut(text, placeholderStart)
		data, rest, _ := strings.Cut(rest, "</script>")
		if rest != "</head>" || strings.ContainsAny(data, "<>&\u2028") {
			t.Errorf("topic %q: the element's end is not its end in\n%s", want.Topic, text)
		}
		var got gateway
		if err := json.Unmarshal([]byte(data), &got); err != nil {
			t.Errorf("topic %q: %v in %s", want.Topic, err, data)
		}
		if diff := cmp.Diff(want, got, cmp.Transformer("valid", func(s string) string { return strings.ToValidUTF8(s, "\ufffd") })); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestWhatIsNoDashboard(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]struct {
		fs   fs.FS
		says string
	}{
		"nothing":                {fstest.MapFS{}, "index.html is missing"},
		"no index":               {fstest.MapFS{"assets/a.js": {}}, "index.html is missing"},
		"no placeholder":         {built("index.html", "<!doctype html>"), `index.html: it has <script type="application/json" id="gateway">{}</script> 0 times`},
		"a placeholder too many": {built("index.html", index+index), "2 times"},
		"a file of no type":      {built("assets/a.xyz", ""), `assets/a.xyz: content type ".xyz" is not known`},
		"a file elsewhere":       {built("robots.txt", ""), "robots.txt: it is neither"},
	} {
		if _, err := newPage(files.fs, "", nil); err == nil || !strings.Contains(err.Error(), files.says) {
			t.Errorf("%s: %v, want %q", name, err, files.says)
		}
	}
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	h := mustPage(t, built(), "payments.raw")
	const script, picture = "/assets/app-1a2b3c.js", "/assets/dot-1a2b3c.png"
	for _, test := range []struct{ path, accept, want string }{
		{script, "gzip", "gzip"},
		{script, "br;q=1.0, GZIP;q=0.8, *;q=0.1", "gzip"},
		{script, "deflate, gzip", "gzip"},
		{script, "gzip; q=0.001", "gzip"},
		{script, "gzip;q=nonsense", "gzip"},
		{script, "", ""},
		{script, "identity", ""},
		{script, "gzip;q=0", ""},
		{script, "gzip; Q=0.0, br", ""},
		{script, "gzipped", ""},
		{picture, "gzip", ""}, // it would only grow
	} {
		res := get(h, "GET", test.path, "Accept-Encoding", test.accept)
		got := res.Header().Get("Content-Encoding")
		length := res.Header().Get("Content-Length")
		if raw := res.Body.Bytes(); length != strconv.Itoa(len(raw)) || got != test.want {
			t.Errorf("%s, accepting %q: encoding %q, want %q; length %s of %d", test.path, test.accept, got, test.want, length, len(raw))
		}
		if varies := res.Header().Get("Vary") == "Accept-Encoding"; varies != (test.path == script) {
			t.Errorf("%s: varies %v", test.path, varies)
		}
	}
	plain, zipped := get(h, "GET", script), get(h, "GET", script, "Accept-Encoding", "gzip")
	if a, b := plain.Header().Get("ETag"), zipped.Header().Get("ETag"); a == b || a == "" || b == "" {
		t.Errorf("tags %s and %s, want two", a, b)
	}
	if a, b := body(t, plain), body(t, zipped); a != b {
		t.Errorf("%q is not %q", a, b)
	}
	// What stands around the page may have a reason of its own to vary.
	w := httptest.NewRecorder()
	w.Header().Set("Vary", "Origin")
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, script, nil))
	if got := strings.Join(w.Header().Values("Vary"), ", "); got != "Origin, Accept-Encoding" {
		t.Errorf("varies by %q", got)
	}
}

func TestCaching(t *testing.T) {
	t.Parallel()
	h := mustPage(t, built(), "payments.raw")
	for path, want := range map[string]string{"/": "no-cache", "/assets/app-1a2b3c.js": "public, max-age=31536000, immutable"} {
		etag := get(h, "GET", path).Header().Get("ETag")
		for _, test := range []struct {
			header string
			status int
		}{
			{etag, 304},
			{"W/" + etag, 304},
			{`"other", ` + etag, 304},
			{"*", 304},
			{`"other"`, 200},
			{strings.Trim(etag, `"`), 200},
			{"", 200},
		} {
			for _, method := range []string{"GET", "HEAD"} {
				res := get(h, method, path, "If-None-Match", test.header)
				text := body(t, res)
				if res.Code != test.status || (text != "") != (test.status == 200 && method == "GET") {
					t.Errorf("%s %s with %s: %d and %d bytes, want %d", method, path, test.header, res.Code, len(text), test.status)
				}
				if res.Header().Get("Cache-Control") != want || res.Header().Get("ETag") != etag || res.Header().Get("Vary") == "" && path != "/" {
					t.Errorf("%s %s with %s: headers %v", method, path, test.header, res.Header())
				}
			}
		}
	}
	// Another topic is another page.
	if a, b := get(h, "GET", "/"), get(mustPage(t, built(), "other"), "GET", "/"); a.Header().Get("ETag") == b.Header().Get("ETag") {
		t.Error("one tag for two pages")
	}
}

func TestWhatIsNotServed(t *testing.T) {
	t.Parallel()
	h := mustPage(t, built(), "payments.raw")
	for _, test := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/index.html", 404},
		{"GET", "/assets", 404},
		{"GET", "/assets/", 404},
		{"HEAD", "/assets/none.js", 404},
		{"GET", "/assets/../index.html", 404},
		{"GET", "/page.go", 404},
		{"POST", "/", 405},
		{"DELETE", "/assets/app-1a2b3c.js", 405},
		{"OPTIONS", "/none", 405},
	} {
		res := get(h, test.method, test.path)
		if res.Code != test.status || res.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s %s: %d, %s, want %d in plain text", test.method, test.path, res.Code, res.Header().Get("Content-Type"), test.status)
		}
		if (res.Header().Get("Allow") == "GET, HEAD") != (test.status == 405) {
			t.Errorf("%s %s: allows %q", test.method, test.path, res.Header().Get("Allow"))
		}
		checkHeaders(t, test.path, res)
	}
}

// checkHeaders checks what every answer has.
func checkHeaders(t *testing.T, path string, res *httptest.ResponseRecorder) {
	t.Helper()
	for name, want := range map[string]string{
		"X-Content-Type-Options":     "nosniff",
		"Referrer-Policy":            "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin",
	} {
		if got := res.Header().Get(name); got != want {
			t.Errorf("%s: %s is %q, want %q", path, name, got, want)
		}
	}
	policy := res.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("%s: no %q in the policy %q", path, want, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || !strings.Contains(res.Header().Get("Permissions-Policy"), "camera=()") {
		t.Errorf("%s: policies %q and %q", path, policy, res.Header().Get("Permissions-Policy"))
	}
}

// TestEmbeddedDashboard holds what the built files have to be like.
func TestEmbeddedDashboard(t *testing.T) {
	t.Parallel()
	h, err := Page("payments.raw", []Line{{"curl", "curl"}})
	if err != nil {
		t.Fatal(err)
	}
	p := h.(page)
	text := body(t, get(h, "GET", "/"))
	// Scripts and styles stand in files: the policy allows no others.
	inline := regexp.MustCompile(`<style|style=|<script(?: [^>]*)?>[^<]|\son[a-z]+=|javascript:`)
	if found := inline.FindString(strings.Replace(text, placeholderStart+`{"`, "", 1)); found != "" {
		t.Errorf("index.html holds %q itself", found)
	}
	for _, match := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		if p[match[1]] == nil {
			t.Errorf("index.html refers to %s, which is not served", match[1])
		}
	}
	hashed := regexp.MustCompile(`-[\w-]{8}\.\w+$`)
	for path := range maps.Keys(p) {
		res := get(h, "GET", path, "Accept-Encoding", "gzip")
		if res.Code != http.StatusOK {
			t.Errorf("%s: %d", path, res.Code)
		}
		checkHeaders(t, path, res)
		if path != "/" && !hashed.MatchString(path) {
			t.Errorf("%s is kept for a year, but its name does not change with its content", path)
		}
	}
}

// TestDashboardIsSmall holds the size of everything together, as it goes over the wire.
func TestDashboardIsSmall(t *testing.T) {
	t.Parallel()
	const most = 100_000
	total := 0
	err := fs.WalkDir(embedded, "dist", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := embedded.ReadFile(name)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			return err
		}
		_, _ = w.Write(content) // a buffer does not fail
		_ = w.Close()
		t.Logf("%7d %7d %s", len(content), b.Len(), name)
		total += b.Len()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if total > most {
		t.Errorf("the dashboard is %d bytes compressed, want %d at the most", total, most)
	}
}
