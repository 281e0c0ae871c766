package clienttest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	paymentpb "paystream/gen/payment"
	"paystream/gen/payment/paymentpbconnect"
)

// rpcClient speaks gRPC, gRPC-Web or Connect, by connect-go's own clients.
type rpcClient struct {
	paymentpbconnect.PaymentServiceClient
	stream *connect.Client[paymentpb.StreamPaymentsRequest, Message]
	http   *http.Client
}

// NewRPC returns a client of Connect in protobuf, unless the options say another protocol.
func NewRPC(base string, transport *http.Transport, options ...connect.ClientOption) Client {
	return newRPC(base, transport, "proto", options)
}

func newJSON(base string, transport *http.Transport) Client {
	return newRPC(base, transport, "json", []connect.ClientOption{connect.WithProtoJSON()})
}

func newWebText(base string, transport *http.Transport) Client {
	return newRPC(base, textTransport{transport}, "proto", []connect.ClientOption{connect.WithGRPCWeb()})
}

func newRPC(base string, transport http.RoundTripper, codec string, options []connect.ClientOption) Client {
	hc := &http.Client{Transport: transport}
	messages := append(slices.Clone(options), connect.WithCodec(messageCodec{codec}))
	return rpcClient{
		paymentpbconnect.NewPaymentServiceClient(hc, base, options...),
		connect.NewClient[paymentpb.StreamPaymentsRequest, Message](
			hc, base+paymentpbconnect.PaymentServiceStreamPaymentsProcedure, messages...),
		hc,
	}
}

func (c rpcClient) Close() { c.http.CloseIdleConnections() }

func (c rpcClient) Get(ctx context.Context, id string) (*paymentpb.Payment, error) {
	res, err := c.GetPayment(ctx, connect.NewRequest(&paymentpb.GetPaymentRequest{PaymentId: id}))
	if err != nil {
		return nil, rpcEnded(err)
	}
	return res.Msg, nil
}

func (c rpcClient) List(ctx context.Context, req *paymentpb.ListPaymentsRequest) (*paymentpb.PaymentList, error) {
	res, err := c.ListPayments(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, rpcEnded(err)
	}
	return res.Msg, nil
}

func (c rpcClient) Open(ctx context.Context, req *paymentpb.StreamPaymentsRequest) (Stream, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := c.stream.CallServerStream(ctx, connect.NewRequest(req))
	if err != nil {
		cancel()
		return nil, rpcEnded(err)
	}
	return &rpcStream{stream, cancel}, nil
}

type rpcStream struct {
	stream *connect.ServerStreamForClient[Message]
	cancel func()
}

func (s *rpcStream) FirstCursor() string { return s.stream.ResponseHeader().Get("Paystream-Cursor") }

func (s *rpcStream) Next() (*paymentpb.PaymentEvent, error) {
	m, err := s.NextMessage()
	if err != nil {
		return nil, err
	}
	return m.Decode()
}

func (s *rpcStream) NextMessage() (Message, error) {
	if !s.stream.Receive() {
		if s.stream.Err() == nil {
			return nil, errors.New("the stream ended without an error")
		}
		return nil, rpcEnded(s.stream.Err())
	}
	return *s.stream.Msg(), nil
}

func (s *rpcStream) Close() {
	s.cancel()
	_ = s.stream.Close() // canceled, so it has nothing to say
}

func rpcEnded(err error) error {
	var ce *connect.Error
	if !errors.As(err, &ce) {
		return err
	}
	out := &EndedError{Code: ce.Code(), Message: ce.Message()}
	for _, detail := range ce.Details() {
		if err := out.add(detail.Type(), detail.Bytes()); err != nil {
			return err
		}
	}
	return out
}

// add takes an error's detail.
func (e *EndedError) add(kind string, detail []byte) error {
	switch kind {
	case "google.rpc.RetryInfo":
		var retry errdetails.RetryInfo
		err := proto.Unmarshal(detail, &retry)
		e.Retry, e.After = true, retry.GetRetryDelay().AsDuration()
		return err
	case "payment.StreamEnd":
		e.End = &paymentpb.StreamEnd{}
		return proto.Unmarshal(detail, e.End)
	}
	return nil
}

// messageCodec sends requests in protobuf or JSON, by its name, and leaves what comes as it is.
type messageCodec struct{ name string }

func (c messageCodec) Name() string { return c.name }

func (c messageCodec) Marshal(message any) ([]byte, error) {
	m, ok := message.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("marshal %T", message)
	}
	if c.name == "json" {
		return protojson.Marshal(m)
	}
	return proto.Marshal(m)
}

func (messageCodec) Unmarshal(data []byte, message any) error {
	switch m := message.(type) {
	case *Message:
		*m = append((*m)[:0], data...) // connect uses data again
		return nil
	case proto.Message: // the status that ends a gRPC stream
		return proto.Unmarshal(data, m)
	}
	return fmt.Errorf("unmarshal %T", message)
}
