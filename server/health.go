package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"

	"paystream/gen/payment/paymentpbconnect"
)

// health answers gRPC's health checks; it follows readiness.
type health struct{ server *Server }

func (h health) Check(_ context.Context, req *grpchealth.CheckRequest) (*grpchealth.CheckResponse, error) {
	if req.Service != "" && req.Service != paymentpbconnect.PaymentServiceName {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("unknown service"))
	}
	status := grpchealth.StatusServing
	if h.server.ready() != nil {
		status = grpchealth.StatusNotServing
	}
	return &grpchealth.CheckResponse{Status: status}, nil
}

// timeHeader is the response header with the gateway's clock, in Unix milliseconds: what a page shows
// as a payment's age would else be wrong by what the browser's clock is.
const timeHeader = "Paystream-Time"

// serveHealthz says that the process lives, and what time it has.
func serveHealthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set(timeHeader, strconv.FormatInt(time.Now().UnixMilli(), 10))
	_, _ = io.WriteString(w, "ok\n")
}

// serveReadyz says whether the gateway has caught up with Kafka and is not draining, or why not; and
// when it is ready, what streams do not suffer from and operators should know.
func (s *Server) serveReadyz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	ok, note := s.source.Ready()
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, note+"\n")
		return
	}
	if s.draining.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "draining: the gateway is shutting down\n")
		return
	}
	_, _ = io.WriteString(w, "ok\n")
	if note != "" {
		_, _ = io.WriteString(w, note+"\n")
	}
}
