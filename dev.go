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

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kfake"
	"golang.org/x/sync/errgroup"

	"paystream/internal/kafkaconn"
	"paystream/producer"
)

const (
	devPartitions = 3
	devExisting   = 50 // payments that are there before the gateway starts
	kafkaPort     = 9092
)

func (p *program) devCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run the gateway with a broker and sample payments of its own",
		Long: `Run everything in one process, with nothing to install: a broker on Kafka's own port, sample
payments that keep coming, and the gateway. It prints where they are and lines to paste into a
second terminal. Where a port is taken it takes a free one, and says so.

The broker keeps all in memory, and forgets it at the end. No setting of a connection to Kafka is
used (KAFKA_BROKERS, KAFKA_SSL..., KAFKA_SASL...).
`,
		Example: `  paystream dev
  paystream dev --interval=10ms
  paystream dev --grpc-port=8080 --amount-units=minor`,
		Args: cobra.NoArgs,
	}
	interval := cmd.Flags().Duration("interval", 500*time.Millisecond, "time between sample payments; 0 is none after the first ones")
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
		d := &dev{cfg: cfg, interval: *interval, out: p.stdout, log: log, serve: p.serve}
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
		if value, _ := from.lookup(k); value != k.value {
			names = append(names, k.name)
		}
	}
	return names, nil
}

// dev is one run of the command.
type dev struct {
	cfg       *Config
	interval  time.Duration
	out       io.Writer
	log       *slog.Logger
	serve     serveFunc
	elsewhere []string // settings of another Kafka

	broker  string
	sampler *producer.Sampler
	writer  *producer.Writer
}

// run starts the broker, its first payments, the gateway and then more payments, and ends them in
// the opposite order.
func (d *dev) run(ctx context.Context) error {
	cluster, err := startBroker(ctx, d.cfg.Topic)
	if err != nil {
		return fmt.Errorf("start the embedded broker: %w", err)
	}
	defer cluster.Close()
	d.broker = cluster.ListenAddrs()[0]
	d.cfg.Kafka = kafkaconn.Config{Brokers: []string{d.broker}, ClientID: d.cfg.Kafka.ClientID}
	d.cfg.PasteBroker = d.brokerToName()
	notes := d.takeFreePorts(ctx)

	d.sampler = producer.NewSampler(rand.Uint64(), d.cfg.AmountUnits)
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

func (d *dev) writeExisting(ctx context.Context) error {
	now := time.Now()
	records := make([]producer.Record, devExisting)
	for i := range records {
		records[i] = d.sampler.Next(now.Add(-time.Duration(devExisting-i) * time.Minute))
	}
	return firstError(ctx, d.writer.Write(ctx, records...))
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
			if err := firstError(ctx, d.writer.Write(ctx, d.sampler.Next(now))); err != nil {
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
	fmt.Fprintf(&b, "\npaystream dev: %d payments are there, ", devExisting)
	if d.interval > 0 {
		fmt.Fprintf(&b, "and one more comes every %v.\n\n", d.interval)
	} else {
		b.WriteString("and no more come by themselves.\n\n")
	}
	fmt.Fprintf(&b, "  gateway  http://%s  (gRPC, gRPC-Web, Connect, SSE, NDJSON)\n", dialable(addr))
	fmt.Fprintf(&b, "  broker   %s  (topic %s, %d partitions)\n", d.broker, d.cfg.Topic, devPartitions)
	if _, port, _ := net.SplitHostPort(d.broker); port != strconv.Itoa(kafkaPort) {
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
	_, port, _ := net.SplitHostPort(d.broker)
	if port == strconv.Itoa(kafkaPort) && len(d.elsewhere) == 0 {
		return ""
	}
	return d.broker
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

// startBroker starts a broker on Kafka's own port, or on a free one.
func startBroker(ctx context.Context, topic string) (*kfake.Cluster, error) {
	options := []kfake.Opt{kfake.NumBrokers(1), kfake.ClusterID("paystream-dev"), kfake.SeedTopics(devPartitions, topic)}
	if !taken(ctx, net.JoinHostPort("localhost", strconv.Itoa(kafkaPort))) {
		if cluster, err := kfake.NewCluster(append(options, kfake.Ports(kafkaPort))...); err == nil {
			return cluster, nil
		}
	}
	return kfake.NewCluster(options...)
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
