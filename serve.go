package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"paystream/broadcast"
	"paystream/consumer"
	"paystream/server"
	"paystream/web"
)

// serve runs the gateway until ctx is done: it is a serveFunc. Where the topic has been deleted and made anew, or Kafka
// has gone back in it, the gateway begins anew too, at the same addresses: what it has is not good any more.
func serve(ctx context.Context, cfg *Config, ready func(addr string), log *slog.Logger) error {
	own := *cfg
	for {
		err := serveTopic(ctx, &own, ready, log)
		_, truncated := errors.AsType[*consumer.TruncatedError](err)
		switch {
		case truncated:
			log.Warn("beginning anew with what Kafka has now", "topic", cfg.Topic)
		case errors.Is(err, consumer.ErrReplaced):
			log.Warn("topic was deleted and made anew under the same name; beginning anew with it", "topic", cfg.Topic)
		default:
			return err
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was to end anyway
		}
		ready = func(string) {} // it has been called
	}
}

// serveTopic runs the gateway as long as the topic is the same and Kafka does not go back in it. It enters the addresses
// that it has got in cfg.
func serveTopic(ctx context.Context, cfg *Config, ready func(addr string), log *slog.Logger) error {
	if cfg.TLSCertFile != "" {
		if _, err := tls.LoadX509KeyPair(cfg.TLSCertFile, cfg.TLSKeyFile); err != nil {
			return badUsage(fmt.Errorf("GRPC_TLS_CERT_FILE and GRPC_TLS_KEY_FILE: %w", err))
		}
	}
	payments := broadcast.New(broadcast.Limits{
		Records: cfg.RetainPayments, Bytes: int(cfg.RetainBytes), Age: cfg.RetainAge,
	})
	reader, err := consumer.New(consumer.Config{
		Kafka:           cfg.Kafka,
		Topic:           cfg.Topic,
		GroupID:         cfg.GroupID,
		LeaveTimeout:    max(cfg.DrainTimeout, time.Second),
		ReadUncommitted: cfg.Isolation == ReadUncommitted,
		MaxRecordBytes:  int(cfg.MaxRecordBytes),
		Units:           cfg.AmountUnits,
		RetainRecords:   cfg.RetainPayments,
		RetainAge:       cfg.RetainAge,
		Replays:         cfg.BackfillReaders,
		Logger:          log,
	}, payments)
	if err != nil {
		return badUsage(err)
	}

	listener, err := listen(ctx, "GRPC_PORT", cfg.GRPCAddr())
	if err != nil {
		return err
	}
	defer listener.Close() // closed already, but where something below fails
	addr := listener.Addr().String()
	page, err := web.Page(cfg.Topic, pageLines(cfg, addr))
	if err != nil {
		return err
	}
	source := &kafkaSource{consumer: reader}
	gateway := server.New(server.Config{
		Topic:          cfg.Topic,
		MaxSubscribers: cfg.MaxSubscribers,
		WriteTimeout:   cfg.WriteTimeout,
		DrainTimeout:   cfg.DrainTimeout,
		CORSOrigins:    cfg.CORSOrigins,
		TLSCertFile:    cfg.TLSCertFile,
		TLSKeyFile:     cfg.TLSKeyFile,
		Page:           page,
		Logger:         log,
	}, payments, source)
	admin, err := newAdmin(ctx, cfg.AdminAddr, figures{log: payments, consumer: reader, server: gateway})
	if err != nil {
		return err
	}

	if tcp, ok := listener.Addr().(*net.TCPAddr); ok {
		cfg.GRPCPort = tcp.Port
	}
	cfg.AdminAddr = admin.addr()
	log.Info("listening", "address", addr, "admin", admin.addr(), "tls", cfg.TLSCertFile != "")
	// Whichever fails first ends the others.
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return reader.Run(ctx) })
	g.Go(func() error { return gateway.Serve(ctx, listener) })
	g.Go(func() error { return admin.run(ctx) })
	g.Go(func() error { expire(ctx, payments); return nil })
	g.Go(func() error {
		if source.wait(ctx) {
			ready(addr)
		}
		return nil
	})
	err = g.Wait()
	log.Info("stopped")
	return err
}

// listen binds early, so that a taken port is told at once.
func listen(ctx context.Context, key, addr string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: listen on %s: %w", key, addr, err)
	}
	return listener, nil
}

// expireEvery is how often a log that stands still is asked to drop what has become too old.
const expireEvery = 10 * time.Second

func expire(ctx context.Context, log *broadcast.Log) {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			log.Expire(now)
		case <-ctx.Done():
			return
		}
	}
}

// pageLines are the lines to paste, for the page.
func pageLines(cfg *Config, addr string) []web.Line {
	if cfg.TLSCertFile != "" {
		addr = "https://" + addr
	}
	var lines []web.Line
	for _, l := range pasteLines(addr, cfg.PasteBroker) {
		if cfg.Samples || !l.writes {
			lines = append(lines, web.Line{Label: l.label, Command: l.command})
		}
	}
	return lines
}

// kafkaSource is the consumer as the server sees it: readiness, which does not end, the topic, and its history.
type kafkaSource struct {
	consumer *consumer.Consumer
	caughtUp atomic.Pointer[server.Fingerprint]
}

func (s *kafkaSource) Ready() (bool, string) {
	if s.caughtUp.Load() != nil {
		return true, s.consumer.GroupTrouble()
	}
	status := s.consumer.Status()
	if status.Ready {
		f := server.Fingerprint(status.Fingerprint)
		s.caughtUp.Store(&f)
		return true, status.Group.Trouble
	}
	return false, status.Reason
}

func (s *kafkaSource) Since(ctx context.Context, t time.Time) (broadcast.Vector, []int32, error) {
	return s.consumer.Since(ctx, t)
}

func (s *kafkaSource) Check(ctx context.Context, cursor broadcast.Vector, epochs []int32) ([]broadcast.Gap, error) {
	return s.consumer.Check(ctx, cursor, epochs)
}

func (s *kafkaSource) CheckTopic(ctx context.Context) error { return s.consumer.CheckTopic(ctx) }

func (s *kafkaSource) Epochs() []int32 { return s.consumer.Epochs() }

func (s *kafkaSource) Backfill(from broadcast.Vector) server.Backfill {
	return s.consumer.Backfill(from)
}

// Fingerprint is zero until Ready.
func (s *kafkaSource) Fingerprint() server.Fingerprint {
	if f := s.caughtUp.Load(); f != nil {
		return *f
	}
	return server.Fingerprint{}
}

// wait returns when the source is ready, or false when ctx ends first.
func (s *kafkaSource) wait(ctx context.Context) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, _ := s.Ready(); ok {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}
