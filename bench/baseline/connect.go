package baseline

import (
	"context"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect"

	paymentpb "paystream/gen/payment"
	"paystream/gen/payment/paymentpbconnect"
)

// connectServer is the server that connect-go's documentation leads to.
type connectServer struct {
	paymentpbconnect.UnimplementedPaymentServiceHandler
	*hub
}

func newConnectServer() *connectServer { return &connectServer{hub: newHub()} }

func (s *connectServer) serve(listener net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle(paymentpbconnect.NewPaymentServiceHandler(s))
	srv := &http.Server{Handler: mux, Protocols: &http.Protocols{}, ReadHeaderTimeout: 10 * time.Second}
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetUnencryptedHTTP2(true)
	return srv.Serve(listener)
}

// StreamPayments sends each event as it comes.
func (s *connectServer) StreamPayments(ctx context.Context, _ *connect.Request[paymentpb.StreamPaymentsRequest], stream *connect.ServerStream[paymentpb.PaymentEvent]) error {
	events := s.subscribe()
	defer s.unsubscribe(events)
	if err := stream.Send(nil); err != nil { // the headers
		return err
	}
	for {
		select {
		case e := <-events:
			if err := stream.Send(e); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
