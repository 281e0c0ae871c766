package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

const masked = "********"

func (p *program) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print the effective configuration and where each value came from",
		Long: `Print the effective configuration, one key a line, and where each value came from: flag,
environment, the path of .env, or default. The first of these that has one counts; the others that
have one stand behind "over". Secrets are masked.

It takes the flags of serve, refuses what serve refuses (exit code 2), and connects to nothing.`,
		Example: `  paystream config
  KAFKA_TOPIC=payments.test paystream config --retain-age=1h
  paystream config --json | jq '.[] | select(.from != "default")'`,
		Args: cobra.NoArgs,
	}
	asJSON := cmd.Flags().Bool("json", false, "print a JSON array of the keys")
	read := p.configFlags(cmd, keys())
	cmd.RunE = func(*cobra.Command, []string) error {
		cfg, err := read()
		if err != nil {
			return err
		}
		p.printWarnings(cfg)
		if *asJSON {
			return printJSON(p.stdout, cfg.settings)
		}
		return printTable(p.stdout, cfg.settings)
	}
	return cmd
}

func printTable(out io.Writer, settings []setting) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tVALUE\tFROM")
	for _, s := range settings {
		from := string(s.source)
		if s.source == fromFile {
			from = dotenvPath()
		}
		if len(s.over) > 0 {
			from += ", over " + join(s.over, " and ")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.key.name, cmp.Or(s.display(), "-"), from)
	}
	return w.Flush()
}

// settingJSON is a setting for programs. Values are as they were written, secrets masked.
type settingJSON struct {
	Key   string   `json:"key"`
	Value string   `json:"value"`
	From  source   `json:"from"`
	File  string   `json:"file,omitempty"`      // the path of .env, where the value is from there
	Over  []source `json:"overrides,omitempty"` // other sources that have one
}

func printJSON(out io.Writer, settings []setting) error {
	all := make([]settingJSON, len(settings))
	for i, s := range settings {
		all[i] = settingJSON{Key: s.key.name, Value: s.display(), From: s.source, Over: s.over}
		if s.source == fromFile {
			all[i].File = dotenvPath()
		}
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(all)
}

func join(sources []source, with string) string {
	words := make([]string, len(sources))
	for i, s := range sources {
		words[i] = string(s)
	}
	return strings.Join(words, with)
}

// display is the value as others may see it.
func (s setting) display() string {
	switch {
	case s.value == "":
		return ""
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
