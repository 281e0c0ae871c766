package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"paystream/chaos/fault"
)

// options are the flags.
type options struct {
	seed     uint64
	length   time.Duration
	only     []string
	quick    bool
	recovery bool
	rate     int
	markdown string
	soak     time.Duration
	crowd    int
	root     string
	binary   string
	logs     string
}

func parse(args []string, help io.Writer) (options, error) {
	var o options
	var only string
	var minutes float64
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.SetOutput(help)
	flags.Uint64Var(&o.seed, "seed", 0, "what decides about the faults; 0 is one of its own, which is printed")
	flags.Float64Var(&minutes, "minutes", 15, "how long all takes, about: the storm has what the faults alone leave of it")
	flags.StringVar(&only, "only", "", "these faults alone, and no storm, comma-separated: "+strings.Join(names(), ", "))
	flags.BoolVar(&o.quick, "quick", false, "a selection of faults, each short: about 3 minutes")
	flags.BoolVar(&o.recovery, "recovery", false, "measure recovery times also where -quick or -only would leave them out")
	flags.IntVar(&o.rate, "rate", 1500, "payments a second")
	flags.DurationVar(&o.soak, "soak", 0, "no faults: have a crowd come and go for so long, and write how the gateways grow")
	flags.IntVar(&o.crowd, "crowd", 500, "how many subscribers a soak has")
	flags.StringVar(&o.markdown, "markdown", "", "write the report to this `file` as Markdown")
	flags.StringVar(&o.root, "root", "..", "where paystream's sources are")
	flags.StringVar(&o.binary, "paystream", "", "use this `binary`, in place of one built from the sources")
	flags.StringVar(&o.logs, "logs", "", "keep the gateways' logs in this `folder`, which is there, with all that they say")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected arguments: %s", strings.Join(flags.Args(), " "))
	}
	if o.rate < 1 || minutes <= 0 {
		return o, errors.New("-rate, -minutes: more than nothing")
	}
	o.length = time.Duration(minutes * float64(time.Minute))
	if o.quick {
		o.length = quickLength
	}
	if o.seed == 0 {
		o.seed = uint64(rand.Uint32())
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	o.recovery = o.recovery || !o.quick && only == ""
	for _, name := range o.only {
		if _, ok := fault.Find(name); !ok {
			return o, fmt.Errorf("-only: there is no fault %q; there are %s", name, strings.Join(names(), ", "))
		}
	}
	return o, nil
}

// quickLength is how long a quick run takes, about.
const quickLength = 150 * time.Second

func names() []string {
	var list []string
	for _, f := range fault.All() {
		list = append(list, f.Name)
	}
	return list
}
