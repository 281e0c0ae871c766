package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	paymentpb "paystream/gen/payment"
	"paystream/gen/payment/paymentpbconnect"
)

// client is a subscriber of one protocol, as the contract suite needs it.
type client interface {
	// open returns when the response's headers have come.
	open(ctx context.Context, req *paymentpb.StreamPaymentsRequest) (events, error)
	get(ctx context.Context, id string) (*paymentpb.Payment, error)
	list(ctx context.Context, req *paymentpb.ListPaymentsRequest) (*paymentpb.PaymentList, error)
	close()
}

// events is one stream. What ends it is an *ended.
type events interface {
	firstCursor() string
	next() (*paymentpb.PaymentEvent, error)
	close()
}

// ended is how a call or stream ended, whatever the protocol.
type ended struct {
	code    connect.Code
	message string
	end     *paymentpb.StreamEnd
	retry   bool
}

func (e *ended) Error() string { return fmt.Sprintf("%v: %s %v", e.code, e.message, e.end) }

// protocols are all ways to subscribe.
var protocols = []struct {
	name string
	dial func(address string) client
}{
	{"gRPC", func(a string) client { return dialRPC(a, true, connect.WithGRPC()) }},
	{"gRPC-Web", func(a string) client { return dialRPC(a, false, connect.WithGRPCWeb()) }},
	{"gRPC-Web over HTTP/2", func(a string) client { return dialRPC(a, true, connect.WithGRPCWeb()) }},
	{"Connect protobuf", func(a string) client { return dialRPC(a, false) }},
	{"Connect JSON", func(a string) client { return dialRPC(a, false, connect.WithProtoJSON()) }},
	{"Connect JSON over HTTP/2", func(a string) client { return dialRPC(a, true, connect.WithProtoJSON()) }},
	{"SSE", func(a string) client { return dialHTTP(a, true) }},
	{"NDJSON", func(a string) client { return dialHTTP(a, false) }},
}

// perProtocol runs one test of the contract over every protocol.
func perProtocol(t *testing.T, test func(t *testing.T, dial func(g *gateway) client)) {
	for _, p := range protocols {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			test(t, func(g *gateway) client {
				c := p.dial(g.address)
				t.Cleanup(c.close)
				return c
			})
		})
	}
}

func newTransport(h2 bool) *http.Transport {
	transport := &http.Transport{Protocols: &http.Protocols{}}
	transport.Protocols.SetUnencryptedHTTP2(h2)
	transport.Protocols.SetHTTP1(!h2)
	return transport
}

type rpcClient struct {
	paymentpbconnect.PaymentServiceClient
	transport *http.Transport
}

func dialRPC(address string, h2 bool, options ...connect.ClientOption) client {
	transport := newTransport(h2)
	return rpcClient{paymentpbconnect.NewPaymentServiceClient(
		&http.Client{Transport: transport}, "http://"+address, options...), transport}
}

func (c rpcClient) close() { c.transport.CloseIdleConnections() }

func (c rpcClient) get(ctx context.Context, id string) (*paymentpb.Payment, error) {
	res, err := c.GetPayment(ctx, connect.NewRequest(&paymentpb.GetPaymentRequest{PaymentId: id}))
	if err != nil {
		return nil, rpcEnded(err)
	}
	return res.Msg, nil
}

func (c rpcClient) list(ctx context.Context, req *paymentpb.ListPaymentsRequest) (*paymentpb.PaymentList, error) {
	res, err := c.ListPayments(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, rpcEnded(err)
	}
	return res.Msg, nil
}

func (c rpcClient) open(ctx context.Context, req *paymentpb.StreamPaymentsRequest) (events, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := c.StreamPayments(ctx, connect.NewRequest(req))
	if err != nil {
		cancel()
		return nil, rpcEnded(err)
	}
	return &rpcEvents{stream, cancel}, nil
}

type rpcEvents struct {
	stream *connect.ServerStreamForClient[paymentpb.PaymentEvent]
	cancel func()
}

func (e *rpcEvents) firstCursor() string { return e.stream.ResponseHeader().Get("Paystream-Cursor") }

func (e *rpcEvents) next() (*paymentpb.PaymentEvent, error) {
	if !e.stream.Receive() {
		if e.stream.Err() == nil {
			return nil, errors.New("the stream ended without an error")
		}
		return nil, rpcEnded(e.stream.Err())
	}
	return proto.Clone(e.stream.Msg()).(*paymentpb.PaymentEvent), nil
}

func (e *rpcEvents) close() {
	e.cancel()
	_ = e.stream.Close() // canceled, so it has nothing to say
}

func rpcEnded(err error) error {
	var ce *connect.Error
	if !errors.As(err, &ce) {
		return err
	}
	out := &ended{code: ce.Code(), message: ce.Message()}
	for _, detail := range ce.Details() {
		switch detail.Type() {
		case "google.rpc.RetryInfo":
			out.retry = true
		case "payment.StreamEnd":
			out.end = &paymentpb.StreamEnd{}
			if err := proto.Unmarshal(detail.Bytes(), out.end); err != nil {
				return err
			}
		}
	}
	return out
}

// httpClient speaks plain HTTP: SSE or NDJSON.
type httpClient struct {
	base      string
	sse       bool
	transport *http.Transport
}

func dialHTTP(address string, sse bool) client {
	return httpClient{"http://" + address, sse, newTransport(false)}
}

func (c httpClient) close() { c.transport.CloseIdleConnections() }

func (c httpClient) do(ctx context.Context, path string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header = header
	res, err := (&http.Client{Transport: c.transport}).Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return nil, err
		}
		return nil, jsonEnded(body, res.StatusCode)
	}
	return res, nil
}

func (c httpClient) unary(ctx context.Context, path string, into proto.Message) error {
	res, err := c.do(ctx, path, http.Header{})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	return protojson.Unmarshal(body, into)
}

func (c httpClient) get(ctx context.Context, id string) (*paymentpb.Payment, error) {
	p := &paymentpb.Payment{}
	return p, c.unary(ctx, "/payments/"+url.PathEscape(id), p)
}

func (c httpClient) list(ctx context.Context, req *paymentpb.ListPaymentsRequest) (*paymentpb.PaymentList, error) {
	q := url.Values{}
	set(q, "provider", strings.ToLower(strings.TrimPrefix(req.GetProvider().String(), "PROVIDER_")))
	set(q, "status", req.GetStatus().String())
	set(q, "limit", strconv.Itoa(int(req.GetLimit())))
	set(q, "cursor", req.GetCursor())
	list := &paymentpb.PaymentList{}
	return list, c.unary(ctx, "/payments?"+q.Encode(), list)
}

func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

func (c httpClient) open(ctx context.Context, req *paymentpb.StreamPaymentsRequest) (events, error) {
	q, header := url.Values{}, http.Header{}
	set(q, "provider", strconv.Itoa(int(req.GetProvider())))
	set(q, "status", strings.ToLower(strings.TrimPrefix(req.GetStatus().String(), "STATUS_")))
	set(q, "limit", strconv.Itoa(int(req.GetLimit())))
	if req.GetStart() != 0 {
		set(q, "start", req.GetStart().String())
	}
	if req.GetSince() != nil {
		set(q, "since", req.GetSince().AsTime().Format("2006-01-02T15:04:05Z07:00"))
	}
	if req.GetHeartbeat() != nil {
		set(q, "heartbeat", req.GetHeartbeat().AsDuration().String())
	}
	if c.sse {
		header.Set("Accept", "text/event-stream")
		if req.GetCursor() != "" {
			header.Set("Last-Event-ID", req.GetCursor())
			q.Set("cursor", "Last-Event-ID counts before this")
		}
	} else {
		set(q, "cursor", req.GetCursor())
	}
	ctx, cancel := context.WithCancel(ctx)
	res, err := c.do(ctx, "/payments/stream?"+q.Encode(), header)
	if err != nil {
		cancel()
		return nil, err
	}
	return &httpEvents{res, bufio.NewReader(res.Body), c.sse, cancel}, nil
}

type httpEvents struct {
	res    *http.Response
	reader *bufio.Reader
	sse    bool
	cancel func()
}

func (e *httpEvents) firstCursor() string { return e.res.Header.Get("Paystream-Cursor") }

func (e *httpEvents) close() {
	e.cancel()
	_ = e.res.Body.Close()
}

func (e *httpEvents) next() (*paymentpb.PaymentEvent, error) {
	if e.sse {
		return e.nextSSE()
	}
	line, err := e.reader.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(line, []byte(`{"error":`)) {
		var last struct{ Error json.RawMessage }
		if err := json.Unmarshal(line, &last); err != nil {
			return nil, err
		}
		return nil, jsonEnded(last.Error, 200)
	}
	event := &paymentpb.PaymentEvent{}
	return event, protojson.Unmarshal(line, event)
}

// nextSSE reads blocks as a browser does: those without data only move the id.
func (e *httpEvents) nextSSE() (*paymentpb.PaymentEvent, error) {
	name, id, data := "", "", ""
	for {
		line, err := e.reader.ReadString('\n')
		if err != nil {
			return nil, err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "event":
			name = value
		case "id":
			id = value
		case "data":
			data += value
		case "":
			if data == "" {
				continue
			}
			if name != "" {
				out := jsonEnded([]byte(data), 200)
				var end *ended
				if errors.As(out, &end) {
					end.message = name + ": " + end.message
					if end.end != nil && name == "gap" && end.end.GetOldestCursor() != id {
						return nil, fmt.Errorf("a gap's id is %q, want the oldest cursor", id)
					}
				}
				return nil, out
			}
			event := &paymentpb.PaymentEvent{}
			if err := protojson.Unmarshal([]byte(data), event); err != nil {
				return nil, err
			}
			if event.GetCursor() != id {
				return nil, fmt.Errorf("id %q, but the event's cursor is %q", id, event.GetCursor())
			}
			return event, nil
		}
	}
}

// jsonEnded reads Connect's JSON error.
func jsonEnded(body []byte, status int) error {
	var wire struct {
		Code    connect.Code
		Message string
		Details []struct{ Type, Value string }
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return fmt.Errorf("status %d, body %q: %w", status, body, err)
	}
	out := &ended{code: wire.Code, message: wire.Message}
	for _, detail := range wire.Details {
		switch detail.Type {
		case "google.rpc.RetryInfo":
			out.retry = true
		case "payment.StreamEnd":
			b, err := base64.RawStdEncoding.DecodeString(detail.Value)
			if err != nil {
				return err
			}
			out.end = &paymentpb.StreamEnd{}
			if err := proto.Unmarshal(b, out.end); err != nil {
				return err
			}
		}
	}
	return out
}
