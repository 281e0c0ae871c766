package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/joho/godotenv"
)

// dotenv is the file read in the working directory, if it is there.
const dotenv = ".env"

// A source is where a value came from, in words.
type source string

const (
	fromFlag    source = "flag"
	fromEnv     source = "environment"
	fromFile    source = dotenv
	fromDefault source = "default"
)

// sources hold the values by the keys' names, those that were set.
type sources struct {
	flags, env, file map[string]string
}

// readSources reads .env and takes the environment apart. flags are those that were given.
func readSources(flags map[string]string, environ []string) (sources, error) {
	s := sources{flags: flags, env: map[string]string{}}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		s.env[name] = value
	}
	var err error
	s.file, err = readDotenv()
	return s, err
}

// lookup returns a key's value from the first source that has one, and the sources whose values it
// stands before.
func (s sources) lookup(k key) (value string, from source, over []source) {
	value, from = k.value, fromDefault
	for _, candidate := range []struct {
		values map[string]string
		source source
	}{{s.flags, fromFlag}, {s.env, fromEnv}, {s.file, fromFile}} {
		given, ok := candidate.values[k.name]
		switch {
		// Tools that pass variables on, such as Docker's compose, make empty ones of those unset.
		case !ok, given == "" && !k.empty && candidate.source != fromFlag:
		case from == fromDefault:
			value, from = given, candidate.source
		default:
			over = append(over, candidate.source)
		}
	}
	return value, from, over
}

// dotenvPath is where the file is, in full.
func dotenvPath() string {
	if path, err := filepath.Abs(dotenv); err == nil {
		return path
	}
	return dotenv
}

func readDotenv() (map[string]string, error) {
	content, err := os.ReadFile(dotenv)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, badUsage(fmt.Errorf("read the configuration: %w", err))
	}
	text := strings.TrimPrefix(string(content), "\uFEFF") // as some editors on Windows write it
	values, err := godotenv.Unmarshal(text)
	if err != nil {
		// Its own error quotes the file, passwords and all.
		return nil, badUsage(fmt.Errorf("%s: line %d is not KEY=value", dotenv, malformedLine(text)))
	}
	return values, nil
}

// malformedLine is the one after the most lines that can be read.
func malformedLine(text string) int {
	lines := slices.Collect(strings.Lines(text))
	for n := len(lines) - 1; n > 0; n-- {
		if _, err := godotenv.Unmarshal(strings.Join(lines[:n], "")); err == nil {
			return n + 1
		}
	}
	return 1
}

// foreign matches the names that others give a meaning: gRPC's libraries in other languages, Kafka's
// own scripts, and Kubernetes, which sets KAFKA_SERVICE_HOST, KAFKA_PORT_9092_TCP_ADDR and so on in
// every container for a service named kafka.
var foreign = regexp.MustCompile(`^(GRPC_(TRACE|VERBOSITY|DEFAULT_SSL_ROOTS_FILE_PATH|DNS_RESOLVER|POLL_STRATEGY|ENABLE_FORK_SUPPORT|GO_LOG_.*)` +
	`|KAFKA_(OPTS|HEAP_OPTS|JMX_OPTS|GC_LOG_OPTS|LOG4J_OPTS|JVM_PERFORMANCE_OPTS|HOME))$` +
	`|_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR)?$`)

func isForeign(name, value string) bool {
	return foreign.MatchString(name) || strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://")
}

// unknown warns about the names that begin like one of the command's keys and are no key at all, nor
// anybody else's: most of them are spelt wrong.
func (s sources) unknown(used []key) []warning {
	prefixes := map[string]bool{}
	for _, k := range used {
		prefix, _, _ := strings.Cut(k.name, "_")
		prefixes[prefix] = true
	}
	known := keys()
	var warnings []warning
	for _, from := range []struct {
		values map[string]string
		source source
	}{{s.env, fromEnv}, {s.file, fromFile}} {
		for _, name := range slices.Sorted(maps.Keys(from.values)) {
			prefix, _, ok := strings.Cut(name, "_")
			if !ok || !prefixes[prefix] || isForeign(name, from.values[name]) ||
				slices.ContainsFunc(known, func(k key) bool { return k.name == name }) {
				continue
			}
			warnings = append(warnings, warning{name, fmt.Sprintf("unknown key in %s; the nearest known one is %s",
				from.source, nearest(name, known))})
		}
	}
	return warnings
}

func nearest(name string, known []key) string {
	return slices.MinFunc(known, func(a, b key) int { return distance(name, a.name) - distance(name, b.name) }).name
}

// distance is how many letters must be put in, taken out or changed to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
