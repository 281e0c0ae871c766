package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	paymentpb "paystream/gen/payment"
	"paystream/gen/payment/paymentpbconnect"
)

// rpc is the service over gRPC, gRPC-Web and Connect.
type rpc struct{ server *Server }

func (h rpc) GetPayment(_ context.Context, req *connect.Request[paymentpb.GetPaymentRequest]) (*connect.Response[paymentpb.Payment], error) {
	p, err := h.server.getPayment(req.Msg.GetPaymentId())
	if err != nil {
		return nil, h.server.clientError(err)
	}
	return connect.NewResponse(p), nil
}

func (h rpc) ListPayments(ctx context.Context, req *connect.Request[paymentpb.ListPaymentsRequest]) (*connect.Response[paymentpb.PaymentList], error) {
	list, err := h.server.listPayments(ctx, req.Msg)
	if err != nil {
		return nil, h.server.clientError(err)
	}
	return connect.NewResponse(list), nil
}

func (h rpc) StreamPayments(ctx context.Context, req *connect.Request[paymentpb.StreamPaymentsRequest], stream *connect.ServerStream[paymentpb.PaymentEvent]) error {
	call := callOf(ctx)
	if end := call.acts.end; end != nil {
		_ = stream.Conn().Send(nil) // as in open, where it sent the headers
		return end
	}
	out := h.server.newRPCSink(call, req.Header().Get("Content-Type"), stream.Conn())
	opened, err := h.server.open(ctx, call, req.Msg, out.format, out, 0)
	if err != nil {
		return h.server.clientError(err)
	}
	call.stream = opened
	return nil
}

func (s *Server) newRPCSink(call *call, contentType string, conn connect.StreamingHandlerConn) *rpcSink {
	f := s.formats.proto
	if strings.Contains(contentType, "json") {
		f, call.acts.json = s.formats.json, true
	}
	return &rpcSink{directWriter: s.newDirectWriter(call.w, f), acts: call.acts, conn: conn}
}

// rpcSink writes a stream of a Connect handler: connect opens and ends it, and in between the frames
// are written past it. All three protocols put the same envelope around a message.
type rpcSink struct {
	directWriter
	acts *twoActs
	conn connect.StreamingHandlerConn // nil once it is open
}

func (k *rpcSink) open(ctx context.Context, cursor string) error {
	if err := k.watch(); err != nil {
		return err
	}
	k.writing.begin()
	defer k.writing.end()
	k.conn.ResponseHeader().Set(cursorHeader, cursor)
	if err := k.conn.Send(nil); err != nil { // the headers, flushed
		return gone(err)
	}
	k.conn = nil
	k.direct(ctx)
	return nil
}

func (k *rpcSink) end(err *connect.Error) {
	k.close()
	k.acts.finish(k.w, err)
}

func (k *rpcSink) idle(string) error { return nil }

// gone is the error of a write that failed: the client has left, or took nothing for too long.
func gone(err error) error {
	return connect.NewError(connect.CodeCanceled, fmt.Errorf("the connection is gone: %w", err))
}

// rpcOptions are the options of the Connect handlers.
func rpcOptions() []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithCodec(jsonCodec{name: "json"}),
		connect.WithCodec(jsonCodec{name: "json; charset=utf-8"}),
		connect.WithReadMaxBytes(maxRequestBytes),
		connect.WithConditionalHandlerOptions(func(spec connect.Spec) []connect.HandlerOption {
			from := compressFrom
			if spec.Procedure == paymentpbconnect.PaymentServiceStreamPaymentsProcedure {
				from = math.MaxInt // the frames of a stream are shared
			}
			return []connect.HandlerOption{connect.WithCompressMinBytes(from)}
		}),
	}
}

var errNotProto = errors.New("no protobuf message")

// jsonCodec is connect's JSON codec, but that it writes default values.
type jsonCodec struct{ name string }

func (c jsonCodec) Name() string { return c.name }

func (c jsonCodec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

func (jsonCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, errNotProto
	}
	return marshalJSON.MarshalAppend(dst, m)
}

func (jsonCodec) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return errNotProto
	}
	if len(data) == 0 {
		return errors.New("empty: the least that is JSON is {}")
	}
	return protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, m)
}
