package server

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"paystream/broadcast"
	paymentpb "paystream/gen/payment"
)

// invalid is the error of a request that says something impossible.
func invalid(text string) *connect.Error {
	return connect.NewError(connect.CodeInvalidArgument, errors.New(text))
}

// unavailable is the error of a gateway that can not serve now but soon may.
func unavailable(reason string) *connect.Error {
	err := connect.NewError(connect.CodeUnavailable, errors.New(reason))
	addRetry(err)
	return err
}

// cursorError is the error of a cursor or page token that can not be used. One of another topic may be of that which has
// taken the place of this gateway's, where a gateway has been cut off from Kafka or stopped since: only Kafka knows.
func (s *Server) cursorError(ctx context.Context, err error) error {
	text := errors.New("cursor " + err.Error())
	if !errors.Is(err, errForeign) {
		return connect.NewError(connect.CodeInvalidArgument, text)
	}
	wait, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	switch err := s.source.CheckTopic(wait); {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return unavailable("the cursor is of another topic than this gateway has, and Kafka can not be asked whether the topic was made anew; try again, here or at another gateway")
	}
	return connect.NewError(connect.CodeFailedPrecondition, text)
}

// gapError is the error of a stream that needs what is lost, and can go on at next.
func gapError(err *broadcast.GapError, next string) *connect.Error {
	text := "payments that the stream needs are no longer on Kafka; go on behind them, from the cursor"
	if slices.ContainsFunc(err.Gaps, func(g broadcast.Gap) bool { return g.To < g.From }) {
		text = "Kafka has lost payments that lie before the cursor, and puts others at their offsets; go on with those, from the cursor that comes with this"
	}
	out := connect.NewError(connect.CodeDataLoss, errors.New(text))
	end := &paymentpb.StreamEnd{Cursor: next, OldestCursor: next}
	for _, g := range err.Gaps {
		end.Gaps = append(end.Gaps, &paymentpb.StreamEnd_Gap{Partition: g.Partition, From: g.From, To: g.To})
	}
	addDetail(out, end)
	return out
}

// shutDown is the error that ends a stream when the gateway stops.
func (s *Server) shutDown(cursor string) *connect.Error {
	err := connect.NewError(connect.CodeUnavailable,
		errors.New("the gateway is shutting down; go on from the cursor, here or at another gateway"))
	addDelay(err, time.Duration(rand.Int64N(max(1, s.spread.Load()))))
	addDetail(err, &paymentpb.StreamEnd{Cursor: cursor, OldestCursor: s.cursor(s.log.Oldest())})
	return err
}

func addRetry(err *connect.Error) { addDelay(err, retryDelay()) }

func addDelay(err *connect.Error, delay time.Duration) {
	addDetail(err, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
}

// retryDelay spreads clients that were all refused at one moment.
func retryDelay() time.Duration {
	return 200*time.Millisecond + time.Duration(rand.Int64N(int64(time.Second)))
}

func addDetail(err *connect.Error, message proto.Message) {
	if detail, e := connect.NewErrorDetail(message); e == nil {
		err.AddDetail(detail)
	}
}

// clientError is the one place where an error, which is not nil, becomes what a client sees. What is
// not meant for clients is hidden from them and logged.
func (s *Server) clientError(err error) *connect.Error {
	var asConnect *connect.Error
	switch {
	case errors.As(err, &asConnect):
		return asConnect
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, errors.New("the request's time is over"))
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, errors.New("the request was canceled"))
	}
	s.cfg.Logger.Error("call failed", "error", err)
	return connect.NewError(connect.CodeInternal, errors.New("the gateway failed; its log says why"))
}

var errorWriter = connect.NewErrorWriter()

// writeError answers a plain HTTP request with Connect's JSON error and the status that fits it.
func writeError(w http.ResponseWriter, err *connect.Error) {
	_ = errorWriter.Write(w, unaryJSON, err) // fails only with the connection
}

// errorJSON returns Connect's JSON error.
func errorJSON(err *connect.Error) []byte {
	w := &captured{header: http.Header{}}
	_ = errorWriter.Write(w, unaryJSON, err) // a buffer does not fail
	return w.body.Bytes()
}

// unaryJSON is the request that the error writer answers with a unary error in JSON.
var unaryJSON = &http.Request{Method: http.MethodPost, Header: http.Header{"Content-Type": {"application/json"}}}

// captured is a ResponseWriter that keeps the body.
type captured struct {
	header http.Header
	body   bytes.Buffer
}

func (c *captured) Header() http.Header         { return c.header }
func (c *captured) Write(b []byte) (int, error) { return c.body.Write(b) }
func (c *captured) WriteHeader(int)             {}
