package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"connectrpc.com/connect"

	"paystream/broadcast"
	paymentpb "paystream/gen/payment"
)

// Bounds of ListPayments.
const (
	defaultPageSize = 50
	maxPageSize     = 1000
	// maxPageBytes keeps a page below the 4 MiB that gRPC clients take by default.
	maxPageBytes = 3 << 20
	// lagWait is how long a gateway waits to come as far as a page token made by another.
	lagWait = 2 * time.Second
)

// getPayment is the method, whatever the protocol.
func (s *Server) getPayment(id string) (*paymentpb.Payment, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	if id == "" {
		return nil, invalid("payment_id is empty")
	}
	entry, ok := s.log.Get(id)
	if !ok {
		return nil, connect.NewError(connect.CodeNotFound, errors.New("no payment of this id is retained"))
	}
	return paymentOf(entry), nil
}

// listPayments is the method, whatever the protocol.
func (s *Server) listPayments(ctx context.Context, req *paymentpb.ListPaymentsRequest) (*paymentpb.PaymentList, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	filter, err := newFilter(req.GetProvider(), req.GetStatus())
	if err != nil {
		return nil, err
	}
	size := int(req.GetLimit())
	switch {
	case size < 0:
		return nil, invalid(fmt.Sprintf("limit %d is negative", size))
	case size == 0:
		size = defaultPageSize
	}
	walk, err := s.walk(ctx, req, filter)
	if err != nil {
		return nil, err
	}
	entries, next, more := s.log.Page(walk.at, walk.snapshot, filter, min(size, maxPageSize), maxPageBytes)
	list := &paymentpb.PaymentList{
		Payments:     make([]*paymentpb.Payment, len(entries)),
		TotalCount:   int32(walk.total),
		StreamCursor: s.cursor(walk.snapshot),
	}
	for i, entry := range entries {
		list.Payments[i] = paymentOf(entry)
	}
	if more {
		walk.at = next
		list.NextCursor = walk.token(s.source.Fingerprint())
	}
	return list, nil
}

// walk returns where the request's walk stands: at its page token, or, without one, at the newest.
func (s *Server) walk(ctx context.Context, req *paymentpb.ListPaymentsRequest, filter broadcast.Filter) (page, error) {
	if req.GetCursor() == "" {
		newest := s.log.Newest()
		return page{
			provider: req.GetProvider(),
			status:   req.GetStatus(),
			total:    min(s.log.Count(newest, filter), math.MaxInt32),
			snapshot: newest,
			epochs:   s.source.Epochs(),
			at:       newest,
		}, nil
	}
	walk, err := parsePage(req.GetCursor(), s.source.Fingerprint())
	if err != nil {
		return page{}, s.cursorError(ctx, err)
	}
	if walk.provider != req.GetProvider() || walk.status != req.GetStatus() {
		return page{}, invalid("cursor was made for other filters: every page of a walk takes the same provider and status")
	}
	wait, cancel := context.WithTimeout(ctx, lagWait)
	defer cancel()
	switch gaps, err := s.source.Check(wait, walk.snapshot, walk.epochs); {
	case ctx.Err() != nil:
		return page{}, ctx.Err()
	case err != nil:
		return page{}, unavailable("Kafka can not be asked whether it still has what the page token is of; try again")
	case len(gaps) > 0:
		return page{}, connect.NewError(connect.CodeAborted, errors.New("payments that this walk shows are lost on Kafka; begin again with the first page"))
	}
	if err := s.log.WaitFor(wait, walk.snapshot); err != nil {
		if ctx.Err() != nil {
			return page{}, ctx.Err()
		}
		return page{}, unavailable("this gateway has not come as far as the page token yet; try again")
	}
	return walk, nil
}

// labelBits is the room that a label gives the status beside the provider: see the log's records,
// whose label is provider<<3 | status.
const labelBits = 3

// newFilter returns the set of labels that a provider and a status select; zero of either is any.
func newFilter(provider paymentpb.Provider, status paymentpb.PaymentStatus) (broadcast.Filter, error) {
	if _, ok := paymentpb.Provider_name[int32(provider)]; !ok {
		return 0, invalid(fmt.Sprintf("provider %d is not known", provider))
	}
	if _, ok := paymentpb.PaymentStatus_name[int32(status)]; !ok {
		return 0, invalid(fmt.Sprintf("status %d is not known", status))
	}
	var filter broadcast.Filter
	if provider == 0 && status == 0 {
		return filter, nil
	}
	for p := range paymentpb.Provider_name {
		for st := range paymentpb.PaymentStatus_name {
			if (provider == 0 || p == int32(provider)) && (status == 0 || st == int32(status)) {
				filter |= 1 << (p<<labelBits | st)
			}
		}
	}
	return filter, nil
}
