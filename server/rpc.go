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

	"paystream/broadcast"
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
	f := h.server.formats.proto
	if strings.Contains(req.Header().Get("Content-Type"), "json") {
		f = h.server.formats.json
	}
	out := &rpcSink{
		conn:     stream.Conn(),
		format:   f,
		deadline: newWriteDeadline(writerOf(ctx), h.server.cfg.WriteTimeout),
	}
	err := h.server.stream(ctx, req.Msg, f, out, 0)
	_ = out.deadline.before(0) // for the trailers, which connect writes
	return h.server.clientError(err)
}

// rpcSink writes frames as messages of a Connect handler's stream.
type rpcSink struct {
	conn     connect.StreamingHandlerConn
	format   format
	deadline *writeDeadline
}

func (k *rpcSink) open(cursor string) error {
	if err := k.deadline.open(); err != nil {
		return err
	}
	k.conn.ResponseHeader().Set(cursorHeader, cursor)
	return k.message(nil)
}

// send flushes every message: connect's Send does.
func (k *rpcSink) send(run broadcast.Run) error {
	for frame := range run.Frames() {
		if err := k.write(encoded(frame[envelopeSize:])); err != nil {
			return err
		}
	}
	return nil
}

func (k *rpcSink) flush() error { return k.deadline.lift() }

func (k *rpcSink) heartbeat(cursor string) error {
	return k.message(encoded(k.format.heartbeat(cursor)[envelopeSize:]))
}

func (k *rpcSink) idle(string) error { return nil }

// message writes one message, or with nil the headers, and nothing behind it.
func (k *rpcSink) message(message encoded) error {
	if err := k.write(message); err != nil {
		return err
	}
	return k.flush()
}

func (k *rpcSink) write(message encoded) error {
	if err := k.deadline.before(len(message)); err != nil {
		return err
	}
	var err error
	if message == nil {
		err = k.conn.Send(nil)
	} else {
		err = k.conn.Send(message)
	}
	if err != nil {
		return gone(err)
	}
	return nil
}

// gone is the error of a write that failed: the client has left, or took nothing for too long.
func gone(err error) error {
	return connect.NewError(connect.CodeCanceled, fmt.Errorf("the connection is gone: %w", err))
}

// rpcOptions are the options of the Connect handlers.
func rpcOptions() []connect.HandlerOption {
	return []connect.HandlerOption{
		connect.WithCodec(protoCodec{}),
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

// encoded is a message that is encoded already; the codecs pass it on.
type encoded []byte

var errNotProto = errors.New("no protobuf message")

// protoCodec is connect's protobuf codec, but that it takes encoded messages.
type protoCodec struct{}

func (protoCodec) Name() string { return "proto" }

func (protoCodec) Marshal(message any) ([]byte, error) {
	return protoCodec{}.MarshalAppend(nil, message)
}

func (protoCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	switch m := message.(type) {
	case encoded:
		return append(dst, m...), nil
	case proto.Message:
		return proto.MarshalOptions{}.MarshalAppend(dst, m)
	}
	return nil, errNotProto
}

func (protoCodec) Unmarshal(data []byte, message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return errNotProto
	}
	return proto.Unmarshal(data, m)
}

// jsonCodec is connect's JSON codec, but that it takes encoded messages and writes default values.
type jsonCodec struct{ name string }

func (c jsonCodec) Name() string { return c.name }

func (c jsonCodec) Marshal(message any) ([]byte, error) { return c.MarshalAppend(nil, message) }

func (jsonCodec) MarshalAppend(dst []byte, message any) ([]byte, error) {
	switch m := message.(type) {
	case encoded:
		return append(dst, m...), nil
	case proto.Message:
		return marshalJSON.MarshalAppend(dst, m)
	}
	return nil, errNotProto
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
