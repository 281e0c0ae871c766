package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"paystream/bench/report"
	"paystream/bench/scaling"
	"paystream/bench/workload"
	"paystream/internal/kafkatest"
)

// options are the flags.
type options struct {
	only      string
	match     string
	rounds    int
	quick     bool
	json      string
	markdown  string
	paystream string
	kafka     string
	embedded  bool
	profiles  string
	root      string
	scaling   string
}

func parse(args []string, help io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(help)
	flags.StringVar(&o.only, "only", "", "run these workloads alone, comma-separated: "+strings.Join(names(), ", "))
	flags.StringVar(&o.match, "match", "", "of them, run those alone whose names match this regular `expression`, as in 'gRPC$|TCP'")
	flags.IntVar(&o.rounds, "rounds", 3, "how often everything is run")
	flags.BoolVar(&o.quick, "quick", false, "small runs, to see that everything works; one round unless -rounds says otherwise")
	flags.StringVar(&o.json, "json", "", "write all figures to this `file` as JSON")
	flags.StringVar(&o.markdown, "markdown", "", "write the tables to this `file` as Markdown")
	flags.StringVar(&o.paystream, "paystream", "", "measure this `binary`, in place of one built from the sources")
	flags.StringVar(&o.kafka, "kafka", "", "read from the Kafka at this `address`, in place of an embedded broker; its topics are removed at the end")
	flags.BoolVar(&o.embedded, "embedded", false, "have no real Kafka for the workload kafka: it is for machines without Java")
	flags.StringVar(&o.profiles, "profiles", "", "write a CPU profile of each run's server, or of the process that does the work, to this `folder`; it costs some CPU itself")
	flags.StringVar(&o.root, "root", "..", "where paystream's sources are")
	flags.StringVar(&o.scaling, "scaling", "", "measure nothing: write docs/SCALING.md's tables anew from this `file`, which -json has written")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected arguments: %s", strings.Join(flags.Args(), " "))
	}
	given := false
	flags.Visit(func(f *flag.Flag) { given = given || f.Name == "rounds" })
	if o.quick && !given {
		o.rounds = 1
	}
	if o.rounds < 1 {
		return o, errors.New("-rounds: at least one")
	}
	return o, nil
}

func names() []string {
	var list []string
	for _, w := range workload.All() {
		list = append(list, w.Table.Name)
	}
	return list
}

// chosen returns the workloads that -only names, with the subjects that -match does.
func (o options) chosen() ([]workload.Workload, error) {
	only := names()
	if o.only != "" {
		only = strings.Split(o.only, ",")
	}
	for _, name := range only {
		if !slices.Contains(names(), name) {
			return nil, fmt.Errorf("-only: there is no workload %q; there are %s", name, strings.Join(names(), ", "))
		}
	}
	match, err := regexp.Compile(o.match)
	if err != nil {
		return nil, fmt.Errorf("-match: %w", err)
	}
	var chosen []workload.Workload
	for _, w := range workload.All() {
		w.Subjects = slices.DeleteFunc(w.Subjects, func(s workload.Subject) bool { return !match.MatchString(s.Name) })
		if slices.Contains(only, w.Table.Name) && len(w.Subjects) > 0 {
			chosen = append(chosen, w)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("-match: there is nothing like %q", o.match)
	}
	return chosen, nil
}

// bench runs the workloads and reports.
func bench(ctx context.Context, args []string, out, terminal io.Writer) (err error) {
	o, err := parse(args, terminal)
	if err != nil {
		return err
	}
	if o.scaling != "" {
		return scaling.Update(filepath.Join(o.root, "docs", "SCALING.md"), o.scaling)
	}
	chosen, err := o.chosen()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "paystream-bench-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	line := newProgress(terminal)
	defer line.clear()
	e := &workload.Env{Dir: dir, Paystream: o.paystream, Kafka: o.kafka, Profiles: o.profiles, Quick: o.quick}
	if !o.embedded && !o.quick {
		e.StartKafka = startKafka
	}
	if e.Paystream == "" {
		line.show("building paystream")
		if e.Paystream, err = build(ctx, o.root, dir); err != nil {
			return err
		}
	} else if e.Paystream, err = filepath.Abs(e.Paystream); err != nil {
		return err
	}
	line.show("preparing payments")
	if err := e.Open(ctx); err != nil {
		return err
	}
	defer e.Close(ctx)

	begin := time.Now()
	results := &report.Results{Machine: machine(ctx, o.root, o.kafka), Quick: o.quick, Rounds: o.rounds}
	if err := runAll(ctx, e, chosen, results, line); err != nil {
		return err
	}
	results.Took = time.Since(begin)
	line.clear()
	return o.write(results, chosen, out)
}

// startKafka starts a real Kafka.
func startKafka() (string, func(), error) {
	k, err := kafkatest.Run()
	if err != nil {
		return "", nil, fmt.Errorf("%w (internal/kafkatest/fetch.sh gets it; -embedded goes without)", err)
	}
	return k.Plaintext(), k.Close, nil
}

// runAll runs everything, round after round, each round beginning with another subject.
func runAll(ctx context.Context, e *workload.Env, workloads []workload.Workload, results *report.Results, line *progress) error {
	subjects := 0
	for _, w := range workloads {
		subjects += len(w.Subjects)
	}
	if !e.Quick {
		if err := warm(ctx, e, workloads[0].Subjects[0], line); err != nil {
			return err
		}
	}
	line.total(subjects * results.Rounds)
	for round := range results.Rounds {
		for _, w := range workloads {
			for i := range w.Subjects {
				s := w.Subjects[(i+round)%len(w.Subjects)]
				line.step(fmt.Sprintf("round %d of %d: %s: %s", round+1, results.Rounds, w.Table.Name, s.Name))
				begin := time.Now()
				metrics, err := s.Run(ctx, e)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", w.Table.Name, s.Name, err)
				}
				results.Add(report.Run{Workload: w.Table.Name, Subject: s.Name, Round: round + 1, Metrics: metrics, Took: time.Since(begin)})
			}
		}
	}
	return nil
}

// warm runs something that is not counted: on a virtual machine that has stood still, memory has to be
// had from the host again, and a first run that moves 2.6 GB through sockets takes twice the CPU of the next.
func warm(ctx context.Context, e *workload.Env, s workload.Subject, line *progress) error {
	line.show("warming up: " + s.Name)
	if _, err := s.Run(ctx, e); err != nil {
		return fmt.Errorf("warm up: %s: %w", s.Name, err)
	}
	return nil
}

// write reports, on out and in the files asked for.
func (o options) write(results *report.Results, workloads []workload.Workload, out io.Writer) error {
	var tables []report.Table
	for _, w := range workloads {
		tables = append(tables, w.Rows())
	}
	claims := workload.Claims()
	if err := results.Text(out, tables, claims); err != nil {
		return err
	}
	return errors.Join(
		writeFile(o.json, func(w io.Writer) error { return results.JSON(w, tables, claims) }),
		writeFile(o.markdown, func(w io.Writer) error { return results.Markdown(w, tables, claims) }),
	)
}

func writeFile(path string, write func(io.Writer) error) (err error) {
	if path == "" {
		return nil
	}
	file, err := os.Create(path) //nolint:gosec // the file that was asked for
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return write(file)
}

// build builds the gateway with its own module's versions.
func build(ctx context.Context, root, dir string) (string, error) {
	binary := filepath.Join(dir, "paystream")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, ".") //nolint:gosec // our own sources
	cmd.Dir = root
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build paystream: %w: %s", err, output)
	}
	return binary, nil
}
