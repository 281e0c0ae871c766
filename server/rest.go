package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	paymentpb "paystream/gen/payment"
)

// serveGet answers GET /payments/{id}.
func (s *Server) serveGet(w http.ResponseWriter, r *http.Request) {
	p, err := s.getPayment(r.PathValue("id"))
	s.answer(w, p, err)
}

// serveList answers GET /payments.
func (s *Server) serveList(w http.ResponseWriter, r *http.Request) {
	q := query{values: r.URL.Query()}
	req := &paymentpb.ListPaymentsRequest{
		Provider: paymentpb.Provider(q.enum("provider", paymentpb.Provider(0).Descriptor(), "PROVIDER_")),
		Status:   paymentpb.PaymentStatus(q.enum("status", paymentpb.PaymentStatus(0).Descriptor(), "STATUS_")),
		Limit:    q.int32("limit"),
		Cursor:   q.text("cursor"),
	}
	if err := q.finish(); err != nil {
		s.answer(w, nil, err)
		return
	}
	list, err := s.listPayments(r.Context(), req)
	s.answer(w, list, err)
}

// answer writes a message, or Connect's JSON error with the status that fits it.
func (s *Server) answer(w http.ResponseWriter, message proto.Message, err error) {
	w.Header().Set("Cache-Control", "no-store")
	if err == nil {
		var b []byte
		if b, err = marshalJSON.Marshal(message); err == nil {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(append(b, '\n')) // fails only with the connection
			return
		}
	}
	writeError(w, s.clientError(err))
}

// streamRequest reads the parameters of GET /payments/stream, which are those of the method.
func streamRequest(r *http.Request) (*paymentpb.StreamPaymentsRequest, error) {
	q := query{values: r.URL.Query()}
	req := &paymentpb.StreamPaymentsRequest{
		Provider:  paymentpb.Provider(q.enum("provider", paymentpb.Provider(0).Descriptor(), "PROVIDER_")),
		Status:    paymentpb.PaymentStatus(q.enum("status", paymentpb.PaymentStatus(0).Descriptor(), "STATUS_")),
		Limit:     q.int32("limit"),
		Cursor:    q.text("cursor"),
		Start:     paymentpb.StreamStart(q.enum("start", paymentpb.StreamStart(0).Descriptor(), "START_")),
		Since:     q.time("since"),
		Heartbeat: q.duration("heartbeat"),
	}
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		req.Cursor = id
	}
	return req, q.finish()
}

// query reads a URL's parameters; the first that is wrong, or unknown, is the error.
type query struct {
	values url.Values
	known  []string
	err    error
}

func (q *query) text(name string) string {
	q.known = append(q.known, name)
	if len(q.values[name]) > 1 {
		q.fail(name, "is given more than once")
	}
	return q.values.Get(name)
}

func (q *query) fail(name, what string) {
	if q.err == nil {
		q.err = invalid(fmt.Sprintf("%s %s", name, what))
	}
}

func (q *query) int32(name string) int32 {
	text := q.text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		q.fail(name, "is no 32-bit number")
	}
	return int32(n)
}

// enum takes a value's number, its name, or its name without the prefix, in any case.
func (q *query) enum(name string, enum protoreflect.EnumDescriptor, prefix string) int32 {
	text := q.text(name)
	if text == "" {
		return 0
	}
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		return int32(n) // an unknown number is told like everywhere else
	}
	var names []string
	for i := range enum.Values().Len() {
		value := enum.Values().Get(i)
		short := strings.TrimPrefix(string(value.Name()), prefix)
		if strings.EqualFold(text, short) || strings.EqualFold(text, string(value.Name())) {
			return int32(value.Number())
		}
		names = append(names, strings.ToLower(short))
	}
	q.fail(name, "is none of "+strings.Join(names, ", "))
	return 0
}

func (q *query) duration(name string) *durationpb.Duration {
	text := q.text(name)
	if text == "" {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		q.fail(name, "is no duration such as 15s")
		return nil
	}
	return durationpb.New(d)
}

func (q *query) time(name string) *timestamppb.Timestamp {
	text := q.text(name)
	if text == "" {
		return nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return timestamppb.New(time.Now().Add(-ago))
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		q.fail(name, "is neither a time such as 2026-01-31T08:00:00Z nor how long ago, such as 15m")
		return nil
	}
	return timestamppb.New(t)
}

// finish returns the first error; a parameter that nobody asked for is one, since it may be a
// filter misspelt.
func (q *query) finish() error {
	names := make([]string, 0, len(q.values))
	for name := range q.values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(q.known, name) {
			q.fail(name, "is no parameter here; there are "+strings.Join(q.known, ", "))
		}
	}
	return q.err
}
