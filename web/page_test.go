package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"paystream/web"
)

func TestPage(t *testing.T) {
	t.Parallel()
	page, err := web.Page("payments.<raw>", []web.Line{{Label: "NDJSON", Command: `printf '\000{}' | curl "http://x"`}})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	body := w.Body.String()
	for _, want := range []string{"payments.&lt;raw&gt;", `printf &#39;\000{}&#39; | curl &#34;http://x&#34;`, "<h2>NDJSON</h2>"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	if strings.Contains(body, "<script") || strings.Contains(body, "//cdn") {
		t.Error("the page runs or loads something")
	}
	if policy := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") {
		t.Errorf("policy %q", policy)
	}
}
