package main

import (
	"maps"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// normalizeArgs gives long flags with one dash, as in -count=10, their second one. A single letter
// (-h), the values of flags and all that follows "--" stay as they are.
func normalizeArgs(root *cobra.Command, args []string) []string {
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		return args // a shell asks what could follow, with what stands there so far
	}
	takesValue := valueFlags(root)
	normal := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			return append(normal, args[i:]...)
		}
		if len(arg) > 2 && arg[0] == '-' && isLetter(arg[1]) {
			arg = "-" + arg
		}
		normal = append(normal, arg)
		if name, isFlag := strings.CutPrefix(arg, "--"); isFlag && takesValue[name] && i+1 < len(args) {
			i++
			normal = append(normal, args[i])
		}
	}
	return normal
}

// valueFlags are the flags of all commands that take the next argument for their value.
func valueFlags(root *cobra.Command) map[string]bool {
	names := map[string]bool{}
	root.Flags().VisitAll(func(f *pflag.Flag) { names[f.Name] = f.NoOptDefVal == "" })
	for _, cmd := range root.Commands() {
		maps.Copy(names, valueFlags(cmd))
	}
	return names
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
