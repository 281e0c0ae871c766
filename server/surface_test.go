package server_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"

	paymentpb "paystream/gen/payment"
	"paystream/gen/payment/paymentpbconnect"
	"paystream/internal/clienttest"
)

// response is the head of an answer.
type response struct {
	StatusCode int
	Status     string
	Header     http.Header
}

// call makes one plain request and returns the response and its body.
func call(t *testing.T, method, url string, header http.Header, body string) (response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		req.Header = header
	}
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{res.StatusCode, res.Status, res.Header}, string(b)
}

func TestPlainEndpoints(t *testing.T) {
	t.Parallel()
	g := start(t, func(s *settings) {
		s.Page = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "the page's ", r.URL.Path) })
	})
	g.publishIDs(t, 0, "a")
	sse := http.Header{"Accept": {"text/event-stream"}}
	tests := []struct {
		name, method, path string
		header             http.Header
		status             int
		says               string
	}{
		{"the page", "GET", "/", nil, 200, "the page's /"},
		{"what the page loads", "GET", "/assets/app.js", nil, 200, "the page's /assets/app.js"},
		{"writing to the page", "POST", "/", nil, 405, ""},
		{"no other page", "GET", "/nothing", nil, 404, ""},
		{"health", "GET", "/healthz", nil, 200, "ok"},
		{"readiness", "GET", "/readyz", nil, 200, "ok"},
		{"a payment", "GET", "/payments/a", nil, 200, `"id":"a"`},
		{"no payment", "GET", "/payments/b", nil, 404, `"code":"not_found"`},
		{"a list", "GET", "/payments?limit=1&provider=stripe&status=STATUS_COMPLETED", nil, 200, `"totalCount":1`},
		{"a misspelt parameter", "GET", "/payments?statsu=failed", nil, 400, "statsu is no parameter here; there are provider, status"},
		{"a number that is none", "GET", "/payments?limit=ten", nil, 400, "limit is no 32-bit number"},
		{"a name that is none", "GET", "/payments?provider=visa", nil, 400, "provider is none of unknown, stripe, razorpay, paypal"},
		{"a parameter given twice", "GET", "/payments?limit=1&limit=2", nil, 400, "limit is given more than once"},
		{"a bad stream request, told by status", "GET", "/payments/stream?heartbeat=soon", nil, 400, "heartbeat is no duration"},
		{"a bad SSE request, told by status", "GET", "/payments/stream?since=today", sse, 400, "since is neither a time"},
		{"writing", "POST", "/payments", nil, 405, ""},
	}
	for _, test := range tests {
		res, body := call(t, test.method, "http://"+g.address+test.path, test.header, "")
		if res.StatusCode != test.status || !strings.Contains(strings.ReplaceAll(body, `": `, `":`), test.says) {
			t.Errorf("%s: %d %q, want %d and %q", test.name, res.StatusCode, body, test.status, test.says)
		}
	}
	reason := "topic payments.raw does not exist"
	g.source.reason.Store(&reason)
	if res, body := call(t, "GET", "http://"+g.address+"/readyz", nil, ""); res.StatusCode != http.StatusServiceUnavailable || body != reason+"\n" {
		t.Errorf("not ready: %d %q", res.StatusCode, body)
	}
	if res, _ := call(t, "GET", "http://"+g.address+"/healthz", nil, ""); res.StatusCode != http.StatusOK {
		t.Errorf("alive, but not ready: %d", res.StatusCode)
	}
	if res, _ := call(t, "GET", "http://"+g.address+"/payments/stream", nil, ""); res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("NDJSON while not ready: %d", res.StatusCode)
	}
	// An EventSource would take 503 for a reason never to come back.
	res, body := call(t, "GET", "http://"+g.address+"/payments/stream", sse, "")
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(body, "retry: ") || !strings.Contains(body, "\nevent: unavailable\ndata: {") || !strings.HasSuffix(body, "}\n\n") {
		t.Errorf("SSE while not ready: %d %q", res.StatusCode, body)
	}
}

func TestHealthzTellsTheGatewaysTime(t *testing.T) {
	t.Parallel()
	g := start(t)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		before := time.Now().UnixMilli()
		res, _ := call(t, method, "http://"+g.address+"/healthz", nil, "")
		after := time.Now().UnixMilli()
		got, err := strconv.ParseInt(res.Header.Get("Paystream-Time"), 10, 64)
		if err != nil || got < before || got > after || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v, time %d, want one from %d to %d that is not stored: %v", method, err, got, before, after, res.Header)
		}
	}
}

func TestStreamHeaders(t *testing.T) {
	t.Parallel()
	g := start(t)
	for accept, media := range map[string]string{"text/event-stream": "text/event-stream", "*/*": "application/x-ndjson", "text/html, text/event-stream;q=0.9": "text/event-stream"} {
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.address+"/payments/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", accept)
		transport := clienttest.Transport(false)
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		for header, want := range map[string]string{
			"Content-Type": media, "Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no", "Vary": "Accept",
		} {
			if got := res.Header.Get(header); got != want {
				t.Errorf("accept %s: %s is %q, want %q", accept, header, got, want)
			}
		}
		if media == "text/event-stream" {
			line, err := bufio.NewReader(res.Body).ReadString('\n')
			if err != nil || line != "id: "+res.Header.Get("Paystream-Cursor")+"\n" {
				t.Errorf("first line %q, %v, want the id block of the first cursor", line, err)
			}
		}
		cancel()
		res.Body.Close()
		transport.CloseIdleConnections()
	}
}

func TestReflection(t *testing.T) {
	t.Parallel()
	g := start(t)
	transport := clienttest.Transport(true)
	defer transport.CloseIdleConnections()
	client := grpcreflect.NewClient(&http.Client{Transport: transport}, "http://"+g.address, connect.WithGRPC())
	stream := client.NewStream(t.Context())
	defer stream.Close()
	services, err := stream.ListServices()
	if err != nil {
		t.Fatal(err)
	}
	same(t, "services", "[payment.PaymentService grpc.health.v1.Health]", fmt.Sprint(services))
	files, err := stream.FileContainingSymbol("payment.PaymentService")
	if err != nil || len(files) == 0 {
		t.Errorf("%d files, %v", len(files), err)
	}
	// Older clients ask for v1alpha: list_services in an envelope.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		"http://"+g.address+"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", strings.NewReader("\x00\x00\x00\x00\x02\x3a\x00"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); err != nil || !bytes.Contains(b, []byte("payment.PaymentService")) {
		t.Errorf("v1alpha answers %q, %v", b, err)
	}
}

func TestGRPCHealthFollowsReadiness(t *testing.T) {
	t.Parallel()
	g := start(t)
	check := func(service string) string {
		_, body := call(t, "POST", "http://"+g.address+"/grpc.health.v1.Health/Check", http.Header{"Content-Type": {"application/json"}}, `{"service":"`+service+`"}`)
		return body
	}
	if got := check("payment.PaymentService"); !strings.Contains(got, "SERVING") || strings.Contains(got, "NOT_SERVING") {
		t.Errorf("ready: %s", got)
	}
	if got := check("other"); !strings.Contains(got, "not_found") {
		t.Errorf("unknown service: %s", got)
	}
	reason := "not yet"
	g.source.reason.Store(&reason)
	if got := check(""); !strings.Contains(got, "NOT_SERVING") {
		t.Errorf("not ready: %s", got)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	const origin = "https://app.example.com"
	// What browsers announce for the clients of Connect and of Google.
	preflight := func(address, from string) []http.Header {
		var all []http.Header
		for _, names := range []string{
			"connect-protocol-version,connect-timeout-ms,content-type", "content-type,grpc-timeout,x-grpc-web,x-user-agent",
		} {
			res, _ := call(t, "OPTIONS", "http://"+address+paymentpbconnect.PaymentServiceStreamPaymentsProcedure, http.Header{
				"Origin": {from}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {names},
			}, "")
			all = append(all, res.Header)
		}
		return all
	}
	allowed := func(all []http.Header) (origins []string) {
		for _, h := range all {
			if h.Get("Access-Control-Allow-Headers") != "" {
				origins = append(origins, h.Get("Access-Control-Allow-Origin"))
			}
		}
		return origins
	}
	t.Run("none configured lets nobody in", func(t *testing.T) {
		t.Parallel()
		if got := allowed(preflight(start(t).address, origin)); got != nil {
			t.Errorf("allowed %q", got)
		}
	})
	g := start(t, func(s *settings) { s.CORSOrigins = []string{origin} })
	t.Run("a configured origin may call with the protocols' headers", func(t *testing.T) {
		t.Parallel()
		same(t, "origins", []string{origin, origin}, allowed(preflight(g.address, origin)))
		res, _ := call(t, "GET", "http://"+g.address+"/payments", http.Header{"Origin": {origin}}, "")
		exposed := res.Header.Get("Access-Control-Expose-Headers")
		for _, want := range []string{"Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin", "Paystream-Cursor", "Paystream-Time"} {
			if !strings.Contains(strings.ToLower(exposed), strings.ToLower(want)) {
				t.Errorf("%s is not exposed: %s", want, exposed)
			}
		}
	})
	t.Run("another origin may not", func(t *testing.T) {
		t.Parallel()
		if got := allowed(preflight(g.address, "https://evil.example.com")); got != nil {
			t.Errorf("allowed %q", got)
		}
	})
}

func TestCompression(t *testing.T) {
	t.Parallel()
	g := start(t)
	g.publishIDs(t, 0, "small")
	gz := http.Header{"Accept-Encoding": {"gzip"}}
	if res, _ := call(t, "GET", "http://"+g.address+"/payments/small", gz, ""); res.Header.Get("Content-Encoding") != "" {
		t.Error("an answer below 1 KiB is compressed")
	}
	g.publishIDs(t, 0, ids("p", 50)...)
	res, body := call(t, "GET", "http://"+g.address+"/payments", gz, "")
	if res.Header.Get("Content-Encoding") != "gzip" {
		t.Fatal("a large answer is not compressed")
	}
	unzipped, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(unzipped); err != nil || !bytes.Contains(b, []byte("totalCount")) {
		t.Errorf("unzipped %.40q, %v", b, err)
	}
	res, _ = call(t, "POST", "http://"+g.address+paymentpbconnect.PaymentServiceListPaymentsProcedure,
		http.Header{"Content-Type": {"application/json"}, "Accept-Encoding": {"gzip"}}, "{}")
	if res.Header.Get("Content-Encoding") != "gzip" {
		t.Error("a large Connect answer is not compressed")
	}
	// A stream's messages are shared, so they are never compressed, whatever the client takes.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+g.address+paymentpbconnect.PaymentServiceStreamPaymentsProcedure,
		strings.NewReader("\x00\x00\x00\x00\x02{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/connect+json"}, "Connect-Accept-Encoding": {"gzip"}}
	transport := clienttest.Transport(false)
	defer transport.CloseIdleConnections()
	stream, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	head := make([]byte, 6)
	if _, err := io.ReadFull(stream.Body, head); err != nil || head[0] != 0 || head[5] != '{' {
		t.Errorf("first bytes % x, %v, want an uncompressed envelope", head, err)
	}
}

func TestRequestsAreLimited(t *testing.T) {
	t.Parallel()
	g := start(t)
	for content, body := range map[string]string{
		"application/json":         `{"cursor":"` + strings.Repeat("x", 1<<20) + `"}`,
		"application/connect+json": "\x00\x00\x10\x00\x00" + strings.Repeat("x", 1<<20),
	} {
		method := "ListPayments"
		if content == "application/connect+json" {
			method = "StreamPayments"
		}
		res, answer := call(t, "POST", "http://"+g.address+"/payment.PaymentService/"+method, http.Header{"Content-Type": {content}}, body)
		if !strings.Contains(answer, "resource_exhausted") {
			t.Errorf("%s of 1 MiB: %s %.100q, want resource_exhausted", content, res.Status, answer)
		}
	}
	res, _ := call(t, "GET", "http://"+g.address+"/payments", http.Header{"X-Large": {strings.Repeat("x", 200<<10)}}, "")
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("200 KiB of headers: %s", res.Status)
	}
}

// TestStalledSubscriberIsClosed lets one client take nothing while another reads on.
func TestStalledSubscriberIsClosed(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t, func(s *settings) { s.WriteTimeout = 2 * time.Second })
		stalled, reading := dial(g), dial(g)
		open(t, stalled, &paymentpb.StreamPaymentsRequest{})
		stream := open(t, reading, &paymentpb.StreamPaymentsRequest{})
		big := sample("", paymentpb.Provider_PROVIDER_STRIPE, paymentpb.PaymentStatus_STATUS_PENDING)
		big.Metadata = map[string]string{"filler": strings.Repeat("x", 50_000)}
		const n = 400 // 20 MB: more than all buffers in between
		for i := range n {
			big.Id = fmt.Sprint("p-", i)
			g.publish(t, 0, big)
			if event, err := stream.Next(); err != nil || event.GetOffset() != int64(i) {
				t.Fatalf("the reading one: %v, %v", event.GetOffset(), err)
			}
		}
		eventually(t, "the stalled subscriber is closed", func() bool { return g.Subscribers() == 1 })
	})
}

// TestWaitingOutlivesTheWriteTimeout guards against a deadline left standing.
func TestWaitingOutlivesTheWriteTimeout(t *testing.T) {
	t.Parallel()
	perProtocol(t, func(t *testing.T, dial func(*gateway) clienttest.Client) {
		g := start(t, func(s *settings) { s.WriteTimeout = 100 * time.Millisecond })
		stream := open(t, dial(g), &paymentpb.StreamPaymentsRequest{})
		for i := range 3 {
			time.Sleep(250 * time.Millisecond)
			g.publishIDs(t, 0, fmt.Sprint(i))
			got, _ := take(t, stream, 1)
			same(t, "after a wait", as("new", fmt.Sprint(i)), got)
		}
	})
}

func TestTLS(t *testing.T) {
	t.Parallel()
	certFile, keyFile, pool := certificate(t)
	g := start(t, func(s *settings) { s.TLSCertFile, s.TLSKeyFile = certFile, keyFile })
	g.publishIDs(t, 0, "a")
	for name, h2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: h2}
		var options []connect.ClientOption
		if h2 {
			options = append(options, connect.WithGRPC())
		}
		c := clienttest.NewRPC("https://"+g.address, transport, options...)
		stream := open(t, c, &paymentpb.StreamPaymentsRequest{})
		got, _ := take(t, stream, 1)
		same(t, name, as("existing", "a"), got)
		stream.Close()
		c.Close()
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	if res, err := (&http.Client{Transport: transport}).Get("https://" + g.address + "/healthz"); err == nil {
		res.Body.Close()
		t.Error("a client that does not know the certificate is served")
	}
}

// certificate writes a self-signed certificate for 127.0.0.1.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, b []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	pool = x509.NewCertPool()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(cert)
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", keyDER), pool
}
