package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"paystream/internal/kafkaconn"
	"paystream/payment"
	"paystream/producer"
)

const (
	// produceChunk is how many records are written at a time, at most. Whoever interrupts waits
	// for one such chunk.
	produceChunk = 1000

	// produceGrace is how long that may take.
	produceGrace = 3 * time.Second

	// What has a progress bar: more records than manyRecords, or ones without end that come faster
	// than rushing; and, where no lines are seen, what takes longer than longRun.
	manyRecords = 1000
	rushing     = 10 * time.Millisecond
	longRun     = 5 * time.Second
)

// connectionKeys say where Kafka is and how to connect to it.
func connectionKeys() []string {
	return []string{
		"KAFKA_BROKERS", "KAFKA_SSL", "KAFKA_SSL_CA_FILE", "KAFKA_SSL_CERT_FILE", "KAFKA_SSL_KEY_FILE",
		"KAFKA_SASL_MECHANISM", "KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD",
	}
}

func (p *program) produceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "produce",
		Short: "Write sample payments to Kafka",
		Long: `Write sample payments to Kafka, each another one, with a line for each that all in-sync replicas
have acknowledged, and at the end how many were and how many failed. SIGINT ends it early, with the
same count.

On a terminal a run of more than 1,000 shows a progress bar in place of the lines, unless --lines
is given. Where standard output is no terminal it always has the lines, and where standard error is
one, that shows the bar.

Exit codes: 0 all acknowledged, 1 some failed, 2 bad usage or configuration, 3 cannot reach Kafka.
`,
		Example: `  paystream produce -count=10 -interval=1s
  paystream produce -count=100000 -interval=0      as fast as Kafka takes them, with a progress bar
  paystream produce -count=5000 > payments.txt     a line each in a file, the bar on the terminal
  paystream produce -count=0 -interval=200ms       until stopped
  paystream produce -count=100 -bad=10             each tenth is one that the gateway must refuse
  paystream produce -seed=1                        the same payments each time`,
		Args: cobra.NoArgs,
	}
	var run production
	flags := cmd.Flags()
	flags.IntVar(&run.count, "count", 10, "how many records; 0 is until stopped")
	flags.DurationVar(&run.interval, "interval", time.Second, "time between them; 0 is as fast as Kafka takes them")
	flags.IntVar(&run.bad, "bad", 0, "make each `N`th record a bad one, to see what becomes of it; 0 is none")
	flags.BoolVar(&run.lines, "lines", false, "a line for each record, also where a terminal would show a progress bar")
	flags.BoolVar(&run.quiet, "quiet", false, "neither lines nor a progress bar, only the count at the end")
	seed := flags.Uint64("seed", 0, "make the same payments as any run with this seed (by default they differ each time)")
	colors := p.colorFlag(cmd)
	read := p.configFlags(cmd, only(keys(), append(connectionKeys(), "KAFKA_TOPIC", "AMOUNT_UNITS")...))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if run.count < 0 || run.interval < 0 || run.bad < 0 {
			return badUsage(errors.New("--count, --interval and --bad can't be negative"))
		}
		if run.lines && run.quiet {
			return badUsage(errors.New("--lines and --quiet: one or the other"))
		}
		cfg, err := read()
		if err != nil {
			return err
		}
		if run.colors, err = colors(); err != nil {
			return err
		}
		p.printWarnings(cfg)
		if !flags.Changed("seed") {
			*seed = rand.Uint64()
		}
		run.out, run.errOut = bufio.NewWriter(p.stdout), p.stderr
		run.lines, run.bar = run.shows(isTerminal(p.stdout), p.obeys(p.stderr))
		run.sampler = producer.NewSampler(*seed, cfg.AmountUnits)
		run.decoder = payment.Decoder{Units: cfg.AmountUnits}
		return run.toKafka(cmd.Context(), cfg)
	}
	return cmd
}

// production is one run of produce.
type production struct {
	count    int // 0 is without end
	interval time.Duration
	bad      int
	lines    bool // a line for each
	quiet    bool // neither lines nor a bar
	bar      bool

	sampler *producer.Sampler
	decoder payment.Decoder
	writer  *producer.Writer
	out     *bufio.Writer
	colors  bool
	errOut  io.Writer

	progress                   *progress // nil without a bar
	made, acknowledged, failed int
}

// shows decides between lines on standard output and a bar on standard error, by which of them is a
// terminal. Scripts get their lines whatever happens; a terminal that has no lines gets a bar where
// the run takes a while, and one that has them where they would rush by.
func (r *production) shows(outTerminal, errTerminal bool) (lines, bar bool) {
	many := r.count > manyRecords || r.count == 0 && r.interval < rushing
	long := r.count == 0 || time.Duration(r.count)*r.interval > longRun
	switch {
	case r.quiet:
		return false, false
	case !outTerminal:
		return true, errTerminal && (many || long)
	case r.lines || !errTerminal:
		return true, false
	default:
		return !many, many
	}
}

func (r *production) toKafka(ctx context.Context, cfg *Config) (err error) {
	r.writer, err = producer.NewWriter(cfg.Kafka, cfg.Topic)
	if err != nil {
		return badUsage(err)
	}
	defer func() { err = errors.Join(err, r.writer.Close()) }()
	if err := r.writer.Check(ctx); err != nil && ctx.Err() == nil {
		return kafkaError(err)
	}
	start := time.Now()
	if r.bar {
		r.progress = newProgress(bottomLineOn(r.errOut), r.count)
	}
	err = r.writeAll(ctx)
	r.progress.clear()
	fmt.Fprintf(r.out, "%d acknowledged, %d failed", r.acknowledged, r.failed)
	if left := r.count - r.made; left > 0 {
		fmt.Fprintf(r.out, ", %d not sent", left)
	}
	fmt.Fprintf(r.out, ", in %v (topic %s)\n", time.Since(start).Round(time.Millisecond), cfg.Topic)
	if flushErr := r.out.Flush(); err == nil {
		err = flushErr
	}
	if err == nil && r.failed > 0 {
		err = fmt.Errorf("%d of %d records were not acknowledged", r.failed, r.made)
	}
	return err
}

// kafkaError gives an error of Kafka's its exit code.
func kafkaError(err error) error {
	if errors.Is(err, kafkaconn.ErrUnreachable) {
		return unreachable(err)
	}
	return err
}

// writeAll writes records when they are due, until the last of them, the end of ctx, or Kafka's.
func (r *production) writeAll(ctx context.Context) error {
	start := time.Now()
	for (r.count == 0 || r.made < r.count) && ctx.Err() == nil {
		n := produceChunk
		if r.interval > 0 {
			n = min(n, int(time.Since(start)/r.interval)+1-r.made)
		}
		if r.count > 0 {
			n = min(n, r.count-r.made)
		}
		if n == 0 {
			next := start.Add(time.Duration(r.made) * r.interval)
			select {
			case <-time.After(time.Until(next)):
			case <-ctx.Done():
			}
			continue
		}
		if err := r.write(ctx, r.make(n)); err != nil {
			return err
		}
	}
	return nil
}

func (r *production) make(n int) []producer.Record {
	records := make([]producer.Record, n)
	for i := range records {
		r.made++
		if r.bad > 0 && r.made%r.bad == 0 {
			records[i] = r.sampler.Bad(time.Now())
		} else {
			records[i] = r.sampler.Next(time.Now())
		}
	}
	return records
}

// write writes records and says what became of them. What is on its way when ctx is done has some
// time left. The error is that Kafka is gone.
func (r *production) write(ctx context.Context, records []producer.Record) error {
	writing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(produceGrace, cancel) })()
	var gone error
	reasons := map[string]int{}
	for i, result := range r.writer.Write(writing, records...) {
		if result.Err != nil {
			r.failed++
			reasons[reason(result.Err)]++
			if errors.Is(result.Err, kafkaconn.ErrUnreachable) {
				gone = unreachable(result.Err)
			}
			continue
		}
		r.acknowledged++
		if r.lines {
			fmt.Fprintf(r.out, "%s | partition %d, offset %d\n", r.describe(records[i]), result.Partition, result.Offset)
		}
	}
	if len(reasons) > 0 {
		r.progress.clear()
	}
	for _, why := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(r.errOut, "%d not acknowledged: %s\n", reasons[why], why)
	}
	r.progress.update(r.acknowledged, r.failed)
	if err := r.out.Flush(); err != nil {
		return err
	}
	return gone
}

func reason(err error) string {
	if errors.Is(err, context.Canceled) {
		return "stopped before the answer came"
	}
	return err.Error()
}

func (r *production) describe(record producer.Record) string {
	p, err := r.decoder.Decode(record.Value, time.Now().UnixMilli())
	if err != nil {
		return fmt.Sprintf("%s | %v, on purpose", record.Key, err)
	}
	return paymentLine(p, r.colors)
}
