package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"paystream/broadcast"
	"paystream/consumer"
	"paystream/server"
)

// figures are the parts that the metrics are read from, when they are asked for.
type figures struct {
	log      *broadcast.Log
	consumer *consumer.Consumer
	server   *server.Server
}

// admin serves metrics and profiles, on an address of its own that is not for clients.
type admin struct {
	listener net.Listener // nil when it is off
	server   *http.Server
}

func newAdmin(ctx context.Context, addr string, f figures) (*admin, error) {
	if addr == "" {
		return &admin{}, nil
	}
	listener, err := listen(ctx, "ADMIN_ADDR", addr)
	if err != nil {
		return nil, fmt.Errorf("%w (another address, or none with ADMIN_ADDR=, helps)", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", f.serve)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return &admin{listener, &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}}, nil
}

// addr is empty when admin is off.
func (a *admin) addr() string {
	if a.listener == nil {
		return ""
	}
	return a.listener.Addr().String()
}

func (a *admin) run(ctx context.Context) error {
	if a.listener == nil {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = a.server.Close() }) // nobody waits for metrics
	defer stop()
	if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}

// serve writes the metrics in Prometheus' text format.
func (f figures) serve(w http.ResponseWriter, _ *http.Request) {
	status, stats := f.consumer.Status(), f.log.Stats()
	ready := 0
	if status.Ready {
		ready = 1
	}
	metrics.WriteGaugeUint64(w, "paystream_ready", uint64(ready))
	metrics.WriteGaugeUint64(w, "paystream_subscribers", uint64(f.server.Subscribers()))
	metrics.WriteGaugeUint64(w, "paystream_retained_payments", uint64(stats.Records))
	metrics.WriteGaugeUint64(w, "paystream_retained_bytes", uint64(stats.Bytes))
	metrics.WriteGaugeUint64(w, "paystream_frame_bytes", uint64(stats.FrameBytes))
	metrics.WriteCounterUint64(w, "paystream_kafka_fetches_total", uint64(status.Fetches))
	metrics.WriteCounterUint64(w, "paystream_readers_replaced_total", uint64(status.ReadersReplaced))
	metrics.WriteGaugeUint64(w, "paystream_backfill_readers", uint64(status.Replays))
	metrics.WriteGaugeUint64(w, "paystream_backfill_waiting", uint64(status.ReplaysWaiting))
	metrics.WriteCounterUint64(w, "paystream_backfill_readers_total", uint64(status.ReplaysStarted))
	metrics.WriteCounterUint64(w, "paystream_backfill_payments_total", uint64(status.Replayed))
	owned := uint64(0)
	for _, p := range status.Partitions {
		labels := `{topic="` + status.Topic + `",partition="` + strconv.Itoa(int(p.Partition)) + `"}`
		metrics.WriteGaugeUint64(w, "paystream_next_offset"+labels, uint64(max(p.Next, 0)))
		metrics.WriteGaugeUint64(w, "paystream_end_offset"+labels, uint64(max(p.End, 0)))
		metrics.WriteGaugeUint64(w, "paystream_lag"+labels, uint64(max(p.Lag, 0)))
		metrics.WriteCounterUint64(w, "paystream_bad_records_total"+labels, uint64(p.BadRecords))
		metrics.WriteCounterUint64(w, "paystream_dead_letters_total"+labels, uint64(p.DeadLetters))
		if !p.Owned {
			continue
		}
		owned++
		metrics.WriteGaugeUint64(w, "paystream_dead_letters_pending"+labels, uint64(p.Pending))
		metrics.WriteGaugeUint64(w, "paystream_committed_offset"+labels, uint64(max(p.Committed, 0)))
	}
	metrics.WriteGaugeUint64(w, "paystream_owned_partitions", owned)
	metrics.WriteCounterUint64(w, "paystream_rebalances_total", uint64(status.Group.Rebalances))
	metrics.WriteCounterUint64(w, "paystream_dead_letter_failures_total", uint64(status.Group.Failures))
	metrics.WriteProcessMetrics(w)
}
