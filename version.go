package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit and what it was built with",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprint(p.stdout, version())
			return err
		},
	}
}

// version is what the build recorded of itself, in lines.
func version() string {
	number := "(unknown)"
	var commit string
	info, ok := debug.ReadBuildInfo()
	if ok {
		number = info.Main.Version
		commit = commitOf(info)
	}
	if number == "" {
		number = "(devel)"
	}
	return fmt.Sprintf("paystream %s\n%s%s %s/%s\n", number, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// commitOf is a line, or nothing where the build did not see the repository.
func commitOf(info *debug.BuildInfo) string {
	var words []string
	modified := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision", "vcs.time":
			words = append(words, s.Value)
		case "vcs.modified":
			modified = s.Value == "true"
		}
	}
	if len(words) == 0 {
		return ""
	}
	if modified {
		words = append(words, "(modified)")
	}
	return "commit " + strings.Join(words, " ") + "\n"
}
