package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// program is what all commands share.
type program struct {
	env            []string
	stdout, stderr io.Writer
	serve          serveFunc
}

// serveFunc runs the gateway until ctx is done, and returns nil then. It calls ready once, with
// the address it listens on, when it listens and has caught up with Kafka.
type serveFunc func(ctx context.Context, cfg *Config, ready func(addr string), log *slog.Logger) error

func (p *program) rootCommand() *cobra.Command {
	root := p.serveCommand()
	root.Use = "paystream"
	root.Short = "Stream payments from Kafka to gRPC, gRPC-Web, Connect, SSE and NDJSON clients"
	root.Long = root.Short + `.

Without a command it is the gateway: paystream and paystream serve are the same.

` + exitCodesHelp
	root.Example = `  paystream dev                               everything in one process, nothing to install
  paystream                                   the gateway, for the Kafka on localhost:9092
  KAFKA_BROKERS=kafka-1:9092 paystream        the gateway, for another
  paystream produce -count=10 -interval=1s    ten sample payments to Kafka
  paystream tail                              the payments that a gateway streams, a line each
  paystream dlq list                          the records that are no payments`
	root.Args = knownCommand
	root.Version = version()
	root.SetVersionTemplate("{{.Version}}")
	root.Flags().VisitAll(func(f *pflag.Flag) { f.Hidden = true }) // the list of settings says it already
	root.SetUsageFunc(p.usage)
	root.SetFlagErrorFunc(flagError)
	root.SuggestionsMinimumDistance = 2
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.AddCommand(p.serveCommand(), p.devCommand(), p.produceCommand(), p.tailCommand(), p.dlqCommand(), p.configCommand(), p.versionCommand())
	root.SetGlobalNormalizationFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "grpc-allow-anonymous" { // as the other keys' flags are made
			name = "allow-anonymous"
		}
		return pflag.NormalizedName(name)
	})
	return root
}

const exitCodesHelp = `Exit codes: 0 done, 1 failed, 2 bad usage or configuration, 3 cannot reach Kafka or the gateway.
`

func (p *program) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway (also without a command)",
		Long: `Run the gateway: read the payments of one Kafka topic and stream them to every subscriber, over
gRPC, gRPC-Web, Connect, SSE and NDJSON on one port.

When Kafka can't be reached or the topic is missing it keeps trying and says why, in the log and
at /readyz. SIGTERM and SIGINT end all streams with a cursor to go on from, then the gateway; a
second signal ends it at once.

` + exitCodesHelp,
		Example: `  paystream serve
  paystream serve --kafka-brokers=kafka-1:9092,kafka-2:9092 --log-level=debug
  paystream serve --grpc-host=0.0.0.0 --allow-anonymous`,
		Args: cobra.NoArgs,
	}
	read := p.configFlags(cmd, keys())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := read()
		if err != nil {
			return err
		}
		log := p.logger(cfg)
		logWarnings(log, cfg)
		ready := func(addr string) { log.Info("serving payments", "address", addr, "topic", cfg.Topic) }
		return p.serve(cmd.Context(), cfg, ready, log)
	}
	return cmd
}

// configFlags gives a command a flag for each key that it uses, and returns what reads the
// configuration once the flags are parsed.
func (p *program) configFlags(cmd *cobra.Command, keys []key) func() (*Config, error) {
	flags := cmd.Flags()
	for _, k := range keys {
		help := k.help + " [$" + k.name + "]"
		flag := flags.VarPF(&flagValue{kind: k.kind, text: k.value}, k.flag(), "", help)
		if k.kind == "bool" {
			flag.NoOptDefVal = "true"
		}
	}
	return func() (*Config, error) {
		given := map[string]string{}
		for _, k := range keys {
			if flag := flags.Lookup(k.flag()); flag.Changed {
				given[k.name] = flag.Value.String()
			}
		}
		from, err := readSources(given, p.env)
		if err != nil {
			return nil, err
		}
		return loadConfig(keys, from, isTerminal(p.stderr))
	}
}

// flagValue keeps a flag's text: keys parse their values themselves, wherever they come from.
type flagValue struct{ kind, text string }

func (v *flagValue) String() string     { return v.text }
func (v *flagValue) Set(s string) error { v.text = s; return nil }
func (v *flagValue) Type() string       { return v.kind }

// knownCommand refuses what stands where a command would.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "see paystream --help"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return fmt.Errorf("there is no command %q: %s", args[0], hint)
}

// flagError names the flag that was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	hint := "see " + cmd.CommandPath() + " --help"
	var missing *pflag.NotExistError
	if errors.As(err, &missing) && missing.GetSpecifiedShortnames() == "" {
		name, near, best := missing.GetSpecifiedName(), "", 4
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if d := distance(name, f.Name); d < best && d < len(name) {
				near, best = f.Name, d
			}
		})
		if near != "" {
			hint = "did you mean --" + near + "?"
		}
	}
	return badUsage(fmt.Errorf("%w: %s", err, hint))
}

// logger writes the log to stderr.
func (p *program) logger(cfg *Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(p.stderr, options))
	}
	return slog.New(slog.NewTextHandler(p.stderr, options))
}

func logWarnings(log *slog.Logger, cfg *Config) {
	for _, w := range cfg.warnings {
		log.Warn("odd configuration", "key", w.key, "problem", w.problem)
	}
}

// printWarnings is for commands that have no log.
func (p *program) printWarnings(cfg *Config) {
	for _, w := range cfg.warnings {
		fmt.Fprintln(p.stderr, "warning:", w)
	}
}
