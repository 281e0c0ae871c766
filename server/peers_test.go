package server_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"paystream/broadcast"
	paymentpb "paystream/gen/payment"
	"paystream/gen/payment/paymentpbconnect"
)

// Clients that do what no library would.

// raw opens a connection with a small receive window and writes a request on it.
func raw(t *testing.T, address, request string) *net.TCPConn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	tcp := conn.(*net.TCPConn)
	if err := tcp.SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(tcp, request); err != nil {
		t.Fatal(err)
	}
	return tcp
}

func large(id string) *paymentpb.Payment {
	p := sample(id, paymentpb.Provider_PROVIDER_STRIPE, paymentpb.PaymentStatus_STATUS_PENDING)
	p.Metadata = map[string]string{"filler": strings.Repeat("x", 20_000)}
	return p
}

func TestHEADOfAStreamEnds(t *testing.T) {
	t.Parallel()
	g := start(t)
	conn := raw(t, g.address, "HEAD /payments/stream HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	answers, err := io.ReadAll(conn)
	if err != nil || strings.Count(string(answers), "HTTP/1.1 200") != 2 {
		t.Errorf("%v, answers:\n%s", err, answers)
	}
}

func TestAnswersNobodyReadsAreDropped(t *testing.T) { // alone: it counts goroutines
	g := start(t, func(s *settings) { s.WriteTimeout = 2 * time.Second })
	for i := range 1000 {
		g.publish(t, 0, large(fmt.Sprint(i)))
	}
	before := runtime.NumGoroutine()
	for range 20 {
		// More than the kernel takes for itself.
		raw(t, g.address, strings.Repeat("GET /payments?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n", 8))
	}
	eventually(t, "the handlers run", func() bool { return runtime.NumGoroutine() > before+10 })
	eventually(t, "the handlers are gone", func() bool { return runtime.NumGoroutine() <= before+5 })
}

func TestPagesAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	g := start(t)
	for i := range 400 {
		g.publish(t, 0, large(fmt.Sprint(i)))
	}
	seen := 0
	token := ""
	for {
		res, body := call(t, http.MethodGet, "http://"+g.address+"/payments?limit=1000&cursor="+token, nil, "")
		if res.StatusCode != http.StatusOK || len(body) > 4<<20 {
			t.Fatalf("%s with %d bytes, want less than a gRPC client takes", res.Status, len(body))
		}
		seen += strings.Count(body, `"currency"`)
		_, rest, _ := strings.Cut(strings.ReplaceAll(body, `": "`, `":"`), `"nextCursor":"`)
		if token, _, _ = strings.Cut(rest, `"`); token == "" {
			break
		}
	}
	if seen != 400 {
		t.Errorf("%d payments in all pages, want 400", seen)
	}
}

// TestStuckHTTP2ConnectionIsClosed reads nothing, but gives signs of life.
func TestStuckHTTP2ConnectionIsClosed(t *testing.T) {
	t.Parallel()
	g := start(t, func(s *settings) { s.WriteTimeout = 500 * time.Millisecond })
	conn := raw(t, g.address, http2.ClientPreface)
	framer := http2.NewFramer(conn, nil)
	const window = 1 << 30
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}))
	check(framer.WriteWindowUpdate(0, window))
	var headers bytes.Buffer
	encoder := hpack.NewEncoder(&headers)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/payments/stream"}} {
		check(encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
	}
	check(framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers.Bytes(), EndStream: true, EndHeaders: true}))
	eventually(t, "it is a subscriber", func() bool { return g.Subscribers() == 1 })
	for i := range 2000 {
		g.publish(t, 0, large(fmt.Sprint(i)))
	}
	eventually(t, "it is closed", func() bool {
		_ = framer.WriteWindowUpdate(0, 1) // fails once it is
		time.Sleep(50 * time.Millisecond)
		return g.Subscribers() == 0
	})
}

// TestSlowButSteadyReaderStays takes one large payment for longer than the write time-out, but never
// nothing for so long.
func TestSlowButSteadyReaderStays(t *testing.T) {
	t.Parallel()
	g := start(t, func(s *settings) { s.WriteTimeout = time.Second })
	conn := raw(t, g.address, "GET /payments/stream HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := conn.SetReadBuffer(1 << 20); err != nil { // or it would take minutes
		t.Fatal(err)
	}
	eventually(t, "it is a subscriber", func() bool { return g.Subscribers() == 1 })
	const size = 24 << 20
	p := large("large")
	p.Metadata["filler"] = strings.Repeat("x", size)
	g.publish(t, 0, p)
	reader := bufio.NewReader(conn)
	for taken := 0; taken < size; taken += 64 << 10 { // 8 MiB a second: three seconds
		if _, err := io.CopyN(io.Discard, reader, 64<<10); err != nil {
			t.Fatalf("closed after %d bytes: %v", taken, err)
		}
		time.Sleep(8 * time.Millisecond)
	}
	g.publishIDs(t, 0, "and on")
	rest := make([]byte, 4<<10)
	for got := ""; !strings.Contains(got, "and on"); {
		n, err := reader.Read(rest)
		if err != nil {
			t.Fatalf("closed behind the large one: %v", err)
		}
		got += string(rest[:n])
	}
}

func TestInflatedRequestsAreRefused(t *testing.T) {
	t.Parallel()
	g := start(t)
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	if _, err := w.Write(make([]byte, 10<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"/grpc.health.v1.Health/Check", paymentpbconnect.PaymentServiceGetPaymentProcedure} {
		_, body := call(t, http.MethodPost, "http://"+g.address+method,
			http.Header{"Content-Type": {"application/proto"}, "Content-Encoding": {"gzip"}}, bomb.String())
		if !strings.Contains(body, "resource_exhausted") {
			t.Errorf("%s with 10 MiB in %d bytes: %.200s", method, bomb.Len(), body)
		}
	}
}

// TestBrowserComesBackAfterAGap is an EventSource whose place is lost: it is told so once, and goes on.
func TestBrowserComesBackAfterAGap(t *testing.T) {
	t.Parallel()
	g := start(t, withWindow(1000))
	g.publishIDs(t, 0, ids("p", 2000)...)
	g.source.lost = broadcast.Vector{1500}
	e := browse(t, g.address, oldCursor(t))
	if e.name != "gap" || e.retry > time.Second {
		t.Fatalf("event %q, retry %v", e.name, e.retry)
	}
	if e = browse(t, g.address, e.id); e.name != "" {
		t.Errorf("event %q, want a payment", e.name)
	}
}

type browserEvent struct {
	name, id string
	retry    time.Duration
}

// browse returns the first event of a stream that has data.
func browse(t *testing.T, address, lastEventID string) browserEvent {
	t.Helper()
	conn := raw(t, address, "GET /payments/stream HTTP/1.0\r\nAccept: text/event-stream\r\nLast-Event-ID: "+lastEventID+"\r\n\r\n")
	reader := bufio.NewReader(conn)
	var e browserEvent
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		field, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ": ")
		switch field {
		case "event":
			e.name = value
		case "id":
			e.id = value
		case "retry":
			e.retry, _ = time.ParseDuration(value + "ms")
		case "data":
			return e
		}
	}
}

// TestStreamOnHTTP1IsTheLastOfItsConnection says so at its beginning, and keeps to it.
func TestStreamOnHTTP1IsTheLastOfItsConnection(t *testing.T) {
	t.Parallel()
	g := start(t)
	const request = "GET /payments/stream HTTP/1.1\r\nHost: x\r\n\r\n"
	conn := raw(t, g.address, request+"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	eventually(t, "the stream runs", func() bool { return g.Subscribers() == 1 })
	g.stop()
	body, err := io.ReadAll(res.Body)
	if err != nil || !res.Close || strings.Count(string(body), "\n") != 1 || !strings.Contains(string(body), `"unavailable"`) {
		t.Errorf("%v, close %v: %s", err, res.Close, body)
	}
}

// TestHalfClosedIsGone: a client that has closed its side gets no error for it.
func TestHalfClosedIsGone(t *testing.T) {
	t.Parallel()
	g := start(t)
	conn := raw(t, g.address, "GET /payments/stream HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "the stream runs", func() bool { return g.Subscribers() == 1 })
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || strings.Contains(string(answer), "error") || !strings.HasSuffix(string(answer), "0\r\n\r\n") {
		t.Errorf("%v: %s", err, answer)
	}
}

// TestWhatAClientSendsUnaskedIsBounded on a stream.
func TestWhatAClientSendsUnaskedIsBounded(t *testing.T) {
	t.Parallel()
	g := start(t)
	conn := raw(t, g.address, "GET /payments/stream HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "the stream runs", func() bool { return g.Subscribers() == 1 })
	_, _ = conn.Write(make([]byte, 1<<20)) // fails when the connection is closed meanwhile
	eventually(t, "the stream ends", func() bool { return g.Subscribers() == 0 })
}

// TestStuckStreamDoesNotHoldUpTheEnd: its client reads nothing, and nothing else ends it.
func TestStuckStreamDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	g := start(t, func(s *settings) { s.DrainTimeout, s.WriteTimeout = 300*time.Millisecond, time.Hour })
	for i := range 1000 {
		g.publish(t, 0, large(fmt.Sprint(i)))
	}
	raw(t, g.address, "GET /payments/stream HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "the stream runs", func() bool { return g.Subscribers() == 1 })
	begun := time.Now()
	g.stop()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if n := g.Subscribers(); n != 0 {
		t.Errorf("%d subscribers are left", n)
	}
}
