package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	paymentpb "paystream/gen/payment"
	"paystream/gen/payment/paymentpbconnect"
	"paystream/internal/clienttest"
)

// What Google's client sends, and what it could read.

const webText = "application/grpc-web-text"

// envelope puts a message into its envelope.
func envelope(t *testing.T, message proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b))), b...)
}

// groups decodes groups of four base64 characters, any of which may be padded.
func groups(t *testing.T, text string) (plain []byte) {
	t.Helper()
	for ; len(text) >= 4; text = text[4:] {
		b, err := base64.StdEncoding.DecodeString(text[:4])
		if err != nil {
			t.Fatalf("%q: %v", text[:4], err)
		}
		plain = append(plain, b...)
	}
	if text != "" {
		t.Fatalf("%q is left over", text)
	}
	return plain
}

// opened takes messages out of their envelopes; the last may be the trailers.
func opened(t *testing.T, plain []byte) (messages [][]byte, trailers textproto.MIMEHeader) {
	t.Helper()
	for len(plain) >= 5 {
		n := 5 + int(binary.BigEndian.Uint32(plain[1:]))
		if n > len(plain) {
			break
		}
		if plain[0] == 0x80 {
			var err error
			trailers, err = textproto.NewReader(bufio.NewReader(io.MultiReader(
				bytes.NewReader(plain[5:n]), strings.NewReader("\r\n")))).ReadMIMEHeader()
			if err != nil {
				t.Fatal(err)
			}
		} else {
			messages = append(messages, plain[5:n])
		}
		plain = plain[n:]
	}
	if len(plain) > 0 {
		t.Fatalf("% x is left over", plain)
	}
	return messages, trailers
}

func callText(t *testing.T, g *gateway, procedure, contentType, body string) (response, string) {
	t.Helper()
	return call(t, http.MethodPost, "http://"+g.address+procedure, http.Header{
		"Content-Type": {contentType}, "Accept": {contentType}, "X-Grpc-Web": {"1"}, "X-User-Agent": {"grpc-web-javascript/0.1"},
	}, body)
}

func TestWebTextMirrorsTheContentType(t *testing.T) {
	t.Parallel()
	g := start(t)
	g.publishIDs(t, 0, "a")
	body := base64.StdEncoding.EncodeToString(envelope(t, &paymentpb.GetPaymentRequest{PaymentId: "a"}))
	for asked, want := range map[string]string{
		webText:                          webText,
		webText + "+proto":               webText + "+proto",
		webText + ";charset=UTF-8":       webText,
		"Application/gRPC-Web-Text":      webText,
		webText + "+proto; charset=utf8": webText + "+proto",
	} {
		res, answer := callText(t, g, paymentpbconnect.PaymentServiceGetPaymentProcedure, asked, body)
		if got := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || got != want {
			t.Errorf("%s: %s, content type %q, want %q", asked, res.Status, got, want)
			continue
		}
		messages, trailers := opened(t, groups(t, answer))
		p := &paymentpb.Payment{}
		if len(messages) != 1 || proto.Unmarshal(messages[0], p) != nil || p.GetId() != "a" || trailers.Get("Grpc-Status") != "0" {
			t.Errorf("%s: %d messages, payment %q, trailers %v", asked, len(messages), p.GetId(), trailers)
		}
	}
	jsonBody := base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00\x00\x11" + `{"paymentId":"a"}`))
	res, answer := callText(t, g, paymentpbconnect.PaymentServiceGetPaymentProcedure, webText+"+json", jsonBody)
	if messages, _ := opened(t, groups(t, answer)); len(messages) != 1 || !bytes.Contains(messages[0], []byte(`"id":`)) ||
		res.Header.Get("Content-Type") != webText+"+json" {
		t.Errorf("in JSON: %v, %q", res, answer)
	}
	if res, answer := callText(t, g, paymentpbconnect.PaymentServiceGetPaymentProcedure, webText+"+thrift", body); res.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("an unknown codec: %s %q", res.Status, answer)
	}
}

// TestWebTextRequests sends one request in every way in which it may be encoded, and in some in which
// it may not.
func TestWebTextRequests(t *testing.T) {
	t.Parallel()
	g := start(t)
	g.publishIDs(t, 0, "a")
	plain := envelope(t, &paymentpb.GetPaymentRequest{PaymentId: "a"}) // 8 bytes
	whole := base64.StdEncoding.EncodeToString(plain)
	inPieces := func(size int) (text string) {
		for rest := plain; len(rest) > 0; {
			n := min(size, len(rest))
			text += base64.StdEncoding.EncodeToString(rest[:n])
			rest = rest[n:]
		}
		return text
	}
	tests := []struct{ name, body, code, says string }{
		{"whole", whole, "", ""},
		{"each byte padded by itself", inPieces(1), "", ""},
		{"padded behind the envelope", inPieces(5), "", ""},
		{"with line breaks", whole[:3] + "\r\n" + whole[3:] + "\n", "", ""},
		{"another alphabet", strings.Repeat("-", 8), "3", "not base64"},
		{"no base64 at all", "{\"paymentId\": \"a\"}", "3", "not base64"},
		{"binary", string(plain), "3", "not base64"},
		{"padding within a group", "A=AA" + whole, "3", "not base64"},
		{"more behind the message", whole + "????", "3", "not base64"},
		{"without its padding", strings.TrimRight(whole, "="), "3", "group of four"},
		{"cut short at a group's end", whole[:8], "13", "promised"},
		{"empty", "", "12", "zero messages"},
		{"two messages", whole + whole, "12", "multiple messages"},
		{"a body larger than it may be", base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00\xea\x60")) + strings.Repeat("AAAA", 20_000), "8", "exceeded"},
		{"a message larger than it may be", base64.StdEncoding.EncodeToString([]byte("\x00\x00\x10\x00\x00")) + strings.Repeat("AAAA", 32<<10), "8", "larger"},
	}
	for _, test := range tests {
		res, answer := callText(t, g, paymentpbconnect.PaymentServiceGetPaymentProcedure, webText, test.body)
		if test.code == "" {
			if messages, trailers := opened(t, groups(t, answer)); len(messages) != 1 || trailers.Get("Grpc-Status") != "0" {
				t.Errorf("%s: %d messages, %v, headers %v", test.name, len(messages), trailers, res.Header)
			}
			continue
		}
		// Nothing was sent before, so the trailers are headers.
		if got := res.Header; got.Get("Grpc-Status") != test.code || !strings.Contains(got.Get("Grpc-Message"), test.says) ||
			got.Get("Content-Type") != webText || answer != "" {
			t.Errorf("%s: headers %v, body %q, want status %s and %q", test.name, got, answer, test.code, test.says)
		}
	}
}

// TestWebTextStreamsGroupByGroup reads what the gateway writes: each event comes as groups of its own,
// so that nothing of it waits for the next one.
func TestWebTextStreamsGroupByGroup(t *testing.T) {
	t.Parallel()
	g := start(t, func(s *settings) { s.WriteTimeout = 300 * time.Millisecond })
	body := base64.StdEncoding.EncodeToString(envelope(t, &paymentpb.StreamPaymentsRequest{}))
	conn := raw(t, g.address, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		paymentpbconnect.PaymentServiceStreamPaymentsProcedure, webText, len(body), body))
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	reader := bufio.NewReader(conn)
	res, err := http.ReadResponse(reader, nil) //nolint:bodyclose // it is read below its chunks
	if err != nil || res.Header.Get("Paystream-Cursor") == "" || res.Header.Get("Content-Type") != webText {
		t.Fatalf("%v, headers %v", err, res)
	}
	for i := range 4 {
		id := strings.Repeat("x", i+1) // so that the padding differs
		if i == 3 {
			time.Sleep(400 * time.Millisecond) // longer than the write time-out
		}
		p := sample(id, paymentpb.Provider_PROVIDER_STRIPE, paymentpb.PaymentStatus_STATUS_COMPLETED)
		p.Metadata = map[string]string{"filler": strings.Repeat("y", 1000*i)}
		g.publish(t, 0, p)
		text := ""
		for complete := false; !complete; {
			text += chunk(t, reader)
			plain := groups(t, text)
			complete = len(plain) >= 5 && len(plain) == 5+int(binary.BigEndian.Uint32(plain[1:]))
		}
		messages, _ := opened(t, groups(t, text))
		event := &paymentpb.PaymentEvent{}
		if err := proto.Unmarshal(messages[0], event); err != nil || event.GetPayment().GetId() != id {
			t.Fatalf("%v, payment %q, want %q", err, event.GetPayment().GetId(), id)
		}
	}
	go g.stop()
	rest, err := io.ReadAll(httputil.NewChunkedReader(reader))
	if err != nil {
		t.Fatal(err)
	}
	messages, trailers := opened(t, groups(t, string(rest)))
	if len(messages) != 0 || trailers.Get("Grpc-Status") != "14" || trailers.Get("Grpc-Status-Details-Bin") == "" {
		t.Errorf("%d messages, trailers %v, want Unavailable with its details", len(messages), trailers)
	}
	g.stop()
}

// chunk reads one chunk of HTTP/1.1.
func chunk(t *testing.T, reader *bufio.Reader) string {
	t.Helper()
	var size int
	if _, err := fmt.Fscanf(reader, "%x\r\n", &size); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size+2)
	if _, err := io.ReadFull(reader, b); err != nil {
		t.Fatal(err)
	}
	return string(b[:size])
}

// TestWebTextOverHTTP2 is how a browser speaks to a gateway with TLS.
func TestWebTextOverHTTP2(t *testing.T) {
	t.Parallel()
	g := start(t)
	g.publishIDs(t, 0, ids("p", 3)...)
	transport := clienttest.Transport(true)
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body := base64.StdEncoding.EncodeToString(envelope(t, &paymentpb.StreamPaymentsRequest{}))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		"http://"+g.address+paymentpbconnect.PaymentServiceStreamPaymentsProcedure, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", webText)
	req.Header.Set("Grpc-Timeout", "500m") // "m" is milliseconds
	res, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	messages, trailers := opened(t, groups(t, string(text)))
	if len(messages) != 3 || trailers.Get("Grpc-Status") != "4" {
		t.Errorf("%d messages, trailers %v, want 3 and DeadlineExceeded", len(messages), trailers)
	}
}
