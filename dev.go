package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"paystream/internal/kafkaconn"
	"paystream/producer"
)

// What a topic that was empty is given before the gateway starts: so many payments, of so long.
const (
	devExisting = 600
	devHistory  = 30 * time.Minute
)

func (p *program) devCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run the gateway with a broker and sample payments of its own",
		Long: `Run everything in one process, with nothing to install: a broker on Kafka's own port, sample
payments that keep coming, and the gateway. It prints where they are and lines to paste into a
second terminal. Where a port is taken it takes a free one, and says so.

A sample payment begins as pending, then completes or fails, and is sometimes refunded later; each
step is a record of its own. The topic begins with some of the last half hour.

The broker keeps all in memory and forgets it at the end, unless --data-dir names a directory for
it: then its payments, and the cursors of clients, outlive a restart, a kill included (though not a
power cut: nothing is synced to the disk one by one, as with Kafka itself). Nothing in it is ever
deleted; remove the directory to begin anew.

No setting of a connection to Kafka is used (KAFKA_BROKERS, KAFKA_SSL..., KAFKA_SASL...).
`,
		Example: `  paystream dev
  paystream dev --interval=10ms
  paystream dev --data-dir=payments.data
  paystream dev --grpc-port=8080 --amount-units=minor`,
		Args: cobra.NoArgs,
	}
	interval := cmd.Flags().Duration("interval", 500*time.Millisecond, "time between the records of sample payments; 0 is none after the first ones")
	dataDir := cmd.Flags().String("data-dir", "", "keep the broker's data in this `directory` over restarts (made if it is not there)")
	unused := append(connectionKeys(), "KAFKA_SCHEMA_REGISTRY_URL", "KAFKA_SCHEMA_REGISTRY_AUTH", "GRPC_TLS_CERT_FILE", "GRPC_TLS_KEY_FILE")
	read := p.configFlags(cmd, without(keys(), unused...))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *interval < 0 {
			return badUsage(errors.New("--interval can't be negative"))
		}
		cfg, err := read()
		if err != nil {
			return err
		}
		log := p.logger(cfg)
		logWarnings(log, cfg)
		d := &dev{cfg: cfg, interval: *interval, dataDir: *dataDir, out: p.stdout, log: log, serve: p.serve}
		d.elsewhere, err = p.elsewhere()
		if err != nil {
			return err
		}
		return d.run(cmd.Context())
	}
	return cmd
}

// elsewhere returns the settings of another Kafka, which produce would use and dev does not.
func (p *program) elsewhere() ([]string, error) {
	from, err := readSources(nil, p.env)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, k := range only(keys(), connectionKeys()...) {
		if value, _, _ := from.lookup(k); value != k.value {
			names = append(names, k.name)
		}
	}
	return names, nil
}

// dev is one run of the command.
type dev struct {
	cfg       *Config
	interval  time.Duration
	dataDir   string // empty is in memory
	out       io.Writer
	log       *slog.Logger
	serve     serveFunc
	elsewhere []string // settings of another Kafka

	broker  *devBroker
	kept    int64 // records that were there before
	traffic *producer.Traffic
	writer  *producer.Writer
}

// run starts the broker, its first payments, the gateway and then more payments, and ends them in
// the opposite order.
func (d *dev) run(ctx context.Context) error {
	var err error
	if d.broker, err = startBroker(ctx, d.cfg.Topic, d.dataDir, d.log); err != nil {
		return err
	}
	defer d.broker.Close()
	d.cfg.Kafka = kafkaconn.Config{Brokers: []string{d.broker.addr()}, ClientID: d.cfg.Kafka.ClientID}
	d.cfg.PasteBroker, d.cfg.Samples = d.brokerToName(), true
	notes := d.takeFreePorts(ctx)

	d.traffic = producer.NewTraffic(rand.Uint64(), d.cfg.AmountUnits)
	d.writer, err = producer.NewWriter(d.cfg.Kafka, d.cfg.Topic)
	if err != nil {
		return fmt.Errorf("write sample payments: %w", err)
	}
	defer d.writer.Close()
	if err := d.writeExisting(ctx); err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	ready := make(chan string, 1)
	g.Go(func() error {
		defer cancel()
		return d.serve(ctx, d.cfg, func(addr string) { ready <- addr }, d.log)
	})
	g.Go(func() error {
		select {
		case addr := <-ready:
			d.welcome(addr, notes)
			return d.keepWriting(ctx)
		case <-ctx.Done():
			return nil
		}
	})
	return g.Wait()
}

// writeExisting gives a topic that is empty a past.
func (d *dev) writeExisting(ctx context.Context) error {
	if d.kept = d.broker.records(); d.kept > 0 {
		return nil
	}
	now := time.Now()
	return firstError(ctx, d.writer.Write(ctx, d.traffic.History(devExisting, now.Add(-devHistory), now)...))
}

func (d *dev) keepWriting(ctx context.Context) error {
	if d.interval == 0 {
		return nil
	}
	tick := time.NewTicker(d.interval)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			if err := firstError(ctx, d.writer.Write(ctx, d.traffic.Next(now))); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// firstError is nil when ctx is done: then it is not the records' fault.
func firstError(ctx context.Context, results []producer.Result) error {
	for _, r := range results {
		if r.Err != nil && ctx.Err() == nil {
			return fmt.Errorf("write sample payments: %w", r.Err)
		}
	}
	return nil
}

// welcome says where everything is, and what to paste.
func (d *dev) welcome(addr string, notes []string) {
	var b strings.Builder
	if d.kept > 0 {
		fmt.Fprintf(&b, "\npaystream dev: %s records of before are there, ", humanize.Comma(d.kept))
	} else {
		fmt.Fprintf(&b, "\npaystream dev: %d sample payments of the last half hour are there, ", devExisting)
	}
	if d.interval > 0 {
		fmt.Fprintf(&b, "and every %v one more\nbegins, or one that has begun goes on.\n\n", d.interval)
	} else {
		b.WriteString("and no more come by themselves.\n\n")
	}
	fmt.Fprintf(&b, "  gateway  http://%s  (gRPC, gRPC-Web, Connect, SSE, NDJSON, and the dashboard)\n", dialable(addr))
	fmt.Fprintf(&b, "  broker   %s  (topic %s, %d partitions)\n", d.broker.addr(), d.cfg.Topic, d.broker.partitions())
	if d.dataDir != "" {
		fmt.Fprintf(&b, "  data     %s  (kept over restarts; remove it to begin anew)\n", d.dataDir)
	}
	if _, port, _ := net.SplitHostPort(d.broker.addr()); port != strconv.Itoa(kafkaPort) {
		notes = append([]string{fmt.Sprintf("port %d is taken, so the broker has port %s", kafkaPort, port)}, notes...)
	}
	for _, note := range notes {
		fmt.Fprintf(&b, "  note: %s\n", note)
	}
	b.WriteString("\nPaste into a second terminal, in this directory:\n\n")
	for _, l := range pasteLines(addr, d.cfg.PasteBroker) {
		fmt.Fprintf(&b, "  # %s\n  %s\n\n", l.label, l.command)
	}
	b.WriteString("Ctrl-C ends it.\n\n")
	_, _ = io.WriteString(d.out, b.String()) // the gateway runs on, also when nobody can read this
}

// brokerToName is empty where produce finds the broker by itself.
func (d *dev) brokerToName() string {
	addr := d.broker.addr()
	_, port, _ := net.SplitHostPort(addr)
	if port == strconv.Itoa(kafkaPort) && len(d.elsewhere) == 0 {
		return ""
	}
	return addr
}

// takeFreePorts replaces the gateway's ports where they are taken, and says which.
func (d *dev) takeFreePorts(ctx context.Context) []string {
	var notes []string
	if d.cfg.GRPCPort != 0 && taken(ctx, d.cfg.GRPCAddr()) {
		notes = append(notes, fmt.Sprintf("port %d is taken, so the gateway has a free one", d.cfg.GRPCPort))
		d.cfg.GRPCPort = 0
	}
	if host, port, err := net.SplitHostPort(d.cfg.AdminAddr); err == nil && port != "0" && taken(ctx, d.cfg.AdminAddr) {
		notes = append(notes, fmt.Sprintf("port %s is taken, so metrics and pprof have a free one", port))
		d.cfg.AdminAddr = net.JoinHostPort(host, "0")
	}
	if len(d.elsewhere) > 0 {
		notes = append(notes, strings.Join(d.elsewhere, ", ")+" in the environment or .env: not used here, but produce would use them")
	}
	return notes
}

// taken reports whether something listens on an address. To try and listen is not enough: on some
// systems one may listen on 127.0.0.1 while another does on all addresses.
func taken(ctx context.Context, addr string) bool {
	conn, err := (&net.Dialer{Timeout: 200 * time.Millisecond}).DialContext(ctx, "tcp", dialable(addr))
	if err == nil {
		_ = conn.Close()
		return true
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return true
	}
	_ = listener.Close()
	return false
}
