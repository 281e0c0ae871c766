package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usage prints how a command is used. What a newcomer needs comes first, so the settings, which are
// many and most of which stay as they are, come last.
func (p *program) usage(cmd *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:\n")
	if cmd.Runnable() {
		b.WriteString("  " + cmd.UseLine() + "\n")
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("  " + cmd.CommandPath() + " [command]\n")
	}
	if cmd.HasExample() {
		b.WriteString("\nExamples:\n" + cmd.Example + "\n")
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() || sub.Name() == "help" {
				fmt.Fprintf(&b, "  %-*s  %s\n", sub.NamePadding(), sub.Name(), sub.Short)
			}
		}
	}
	own, settings := splitFlags(cmd)
	width := 0 // no wrapping
	if isTerminal(p.stdout) {
		width = widthOf(p.stdout)
	}
	if own.HasAvailableFlags() {
		b.WriteString("\nFlags:\n" + own.FlagUsagesWrapped(width))
	}
	if settings.HasAvailableFlags() {
		b.WriteString("\nSettings, also from the environment and .env:\n" + settings.FlagUsagesWrapped(width))
	}
	if !cmd.HasParent() {
		b.WriteString("\n" + settingsHelp())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n\"%s [command] --help\" says more about a command.\n", cmd.CommandPath())
	}
	_, err := io.WriteString(cmd.OutOrStderr(), b.String())
	return err
}

// splitFlags parts a command's own flags from those that are settings, which keep the order of keys.
func splitFlags(cmd *cobra.Command) (own, settings *pflag.FlagSet) {
	own, settings = pflag.NewFlagSet("", pflag.ContinueOnError), pflag.NewFlagSet("", pflag.ContinueOnError)
	settings.SortFlags = false
	flags := cmd.LocalFlags()
	for _, k := range keys() {
		if f := flags.Lookup(k.flag()); f != nil {
			settings.AddFlag(f)
		}
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if settings.Lookup(f.Name) == nil {
			own.AddFlag(f)
		}
	})
	return own, settings
}

// settingsHelp lists the settings, for the help of the program as a whole.
func settingsHelp() string {
	var b strings.Builder
	b.WriteString(`Settings, with their defaults. A flag (--kafka-brokers for KAFKA_BROKERS, on the commands that use it)
comes before the environment, the environment before .env in the working directory, and that before
the default. .env.example explains each at length; "paystream config" says what is in effect.

`)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, k := range keys() {
		value := k.value
		if value == "" {
			value = "-"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", k.name, value, k.help)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return b.String()
}
