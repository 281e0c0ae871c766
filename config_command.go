package main

import (
	"fmt"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

const masked = "********"

func (p *program) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the effective configuration and where each value came from",
		Long: `Print the effective configuration, one key a line, and where each value came from: flag,
environment, .env or default, the first of these that has one. Secrets are masked.

It takes the flags of serve, refuses what serve refuses (exit code 2), and connects to nothing.`,
		Example: `  paystream config
  KAFKA_TOPIC=payments.test paystream config --retain-age=1h`,
		Args: cobra.NoArgs,
	}
	read := p.configFlags(cmd, keys())
	cmd.RunE = func(*cobra.Command, []string) error {
		cfg, err := read()
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "KEY\tVALUE\tFROM")
		for _, s := range cfg.settings {
			fmt.Fprintf(w, "%s\t%s\t%s\n", s.key.name, s.display(), s.source)
		}
		p.printWarnings(cfg)
		return w.Flush()
	}
	return cmd
}

// display is the value as others may see it.
func (s setting) display() string {
	switch {
	case s.value == "":
		return "-"
	case s.key.secret:
		return masked
	case s.key.kind == "url":
		return maskURL(s.value)
	}
	return s.value
}

// maskURL masks all of a URL that may be a credential.
func maskURL(value string) string {
	u, err := url.Parse(value)
	if err != nil {
		return masked
	}
	shown := u.Scheme + "://"
	if u.User != nil {
		shown += masked + "@"
	}
	shown += u.Host + u.EscapedPath()
	if u.RawQuery != "" {
		shown += "?" + masked
	}
	return shown
}
