package clienttest

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
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	paymentpb "paystream/gen/payment"
)

// httpClient speaks plain HTTP: SSE or NDJSON.
type httpClient struct {
	base      string
	sse       bool
	transport *http.Transport
}

func (c httpClient) Close() { c.transport.CloseIdleConnections() }

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

func (c httpClient) Get(ctx context.Context, id string) (*paymentpb.Payment, error) {
	p := &paymentpb.Payment{}
	return p, c.unary(ctx, "/payments/"+url.PathEscape(id), p)
}

func (c httpClient) List(ctx context.Context, req *paymentpb.ListPaymentsRequest) (*paymentpb.PaymentList, error) {
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

func (c httpClient) Open(ctx context.Context, req *paymentpb.StreamPaymentsRequest) (Stream, error) {
	q, header := url.Values{}, http.Header{}
	set(q, "provider", strconv.Itoa(int(req.GetProvider())))
	set(q, "status", strings.ToLower(strings.TrimPrefix(req.GetStatus().String(), "STATUS_")))
	set(q, "limit", strconv.Itoa(int(req.GetLimit())))
	if req.GetStart() != 0 {
		set(q, "start", req.GetStart().String())
	}
	if req.GetSince() != nil {
		set(q, "since", req.GetSince().AsTime().Format(time.RFC3339Nano))
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
	res, err := c.do(ctx, "/payments/stream?"+q.Encode(), header) //nolint:bodyclose // Stream.Close does
	if err != nil {
		cancel()
		return nil, err
	}
	s := &httpStream{res: res, reader: bufio.NewReaderSize(res.Body, 16<<10), cancel: cancel}
	if c.sse {
		return &sseStream{httpStream: s}, nil
	}
	return s, nil
}

// httpStream reads NDJSON.
type httpStream struct {
	res    *http.Response
	reader *bufio.Reader
	cancel func()
}

func (s *httpStream) FirstCursor() string { return s.res.Header.Get("Paystream-Cursor") }

func (s *httpStream) Close() {
	s.cancel()
	_ = s.res.Body.Close()
}

func (s *httpStream) Next() (*paymentpb.PaymentEvent, error) {
	m, err := s.NextMessage()
	if err != nil {
		return nil, err
	}
	return m.Decode()
}

func (s *httpStream) NextMessage() (Message, error) {
	line, err := s.line()
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(line, []byte(`{"error":`)) {
		var last struct {
			Error json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(line, &last); err != nil {
			return nil, err
		}
		return nil, jsonEnded(last.Error, http.StatusOK)
	}
	return line, nil
}

// line returns the next line, good until the one after it is read.
func (s *httpStream) line() ([]byte, error) {
	line, err := s.reader.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = bytes.Clone(line)
		var rest []byte
		rest, err = s.reader.ReadBytes('\n')
		line = append(line, rest...)
	}
	return bytes.TrimSuffix(line, []byte("\n")), err
}

// sseStream reads blocks as a browser does: those without data only move the id.
type sseStream struct {
	*httpStream
	data []byte
}

func (s *sseStream) Next() (*paymentpb.PaymentEvent, error) {
	m, id, err := s.block()
	if err != nil {
		return nil, err
	}
	event, err := m.Decode()
	if err == nil && event.GetCursor() != id {
		return nil, fmt.Errorf("id %q, but the event's cursor is %q", id, event.GetCursor())
	}
	return event, err
}

func (s *sseStream) NextMessage() (Message, error) {
	m, _, err := s.block()
	return m, err
}

// block reads the next block with data, and its id, which is empty where it has none of its own.
func (s *sseStream) block() (data Message, id string, err error) {
	name := ""
	s.data = s.data[:0]
	for {
		line, err := s.line()
		if err != nil {
			return nil, "", err
		}
		field, value, _ := bytes.Cut(line, []byte(": "))
		switch string(field) {
		case "event":
			name = string(value)
		case "id":
			id = string(value)
		case "data":
			s.data = append(s.data, value...)
		case "":
			switch {
			case len(s.data) == 0:
				id = ""
			case name != "":
				return nil, "", sseEnded(name, id, s.data)
			default:
				return s.data, id, nil
			}
		}
	}
}

// sseEnded reads the event that ends a stream.
func sseEnded(name, id string, data []byte) error {
	err := jsonEnded(data, http.StatusOK)
	if end, ok := errors.AsType[*EndedError](err); ok {
		end.Message = name + ": " + end.Message
		if end.End != nil && name == "gap" && end.End.GetCursor() != id {
			return fmt.Errorf("a gap's id is %q, want the cursor to go on from", id)
		}
	}
	return err
}

// jsonEnded reads Connect's JSON error.
func jsonEnded(body []byte, status int) error {
	var wire struct {
		Code    connect.Code `json:"code"`
		Message string       `json:"message"`
		Details []struct {
			Type  string `json:"type"`
			Value string `json:"value"`
		} `json:"details"`
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return fmt.Errorf("status %d, body %q: %w", status, body, err)
	}
	out := &EndedError{Code: wire.Code, Message: wire.Message}
	for _, detail := range wire.Details {
		b, err := base64.RawStdEncoding.DecodeString(detail.Value)
		if err != nil {
			return err
		}
		if err := out.add(detail.Type, b); err != nil {
			return err
		}
	}
	return out
}
