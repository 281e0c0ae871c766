package baseline

import (
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	paymentpb "paystream/gen/payment"
	"paystream/gen/payment/paymentpbconnect"
)

// grpcServer is the same server on google.golang.org/grpc.
type grpcServer struct{ *hub }

func newGRPCServer() *grpcServer { return &grpcServer{hub: newHub()} }

func (s *grpcServer) serve(listener net.Listener) error {
	srv := grpc.NewServer()
	srv.RegisterService(&grpc.ServiceDesc{
		ServiceName: paymentpbconnect.PaymentServiceName,
		Streams: []grpc.StreamDesc{{
			StreamName:    "StreamPayments",
			ServerStreams: true,
			Handler:       func(_ any, stream grpc.ServerStream) error { return s.stream(stream) },
		}},
	}, nil)
	return srv.Serve(listener)
}

// stream is what generated code would call StreamPayments with.
func (s *grpcServer) stream(stream grpc.ServerStream) error {
	if err := stream.RecvMsg(&paymentpb.StreamPaymentsRequest{}); err != nil {
		return err
	}
	events := s.subscribe()
	defer s.unsubscribe(events)
	if err := stream.SendHeader(metadata.MD{}); err != nil {
		return err
	}
	for {
		select {
		case e := <-events:
			if err := stream.SendMsg(e); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}
