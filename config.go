package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"paystream/internal/kafkaconn"
	"paystream/payment"
)

// What Config.Isolation may be.
const (
	ReadCommitted   = "read_committed"
	ReadUncommitted = "read_uncommitted"
)

// Config is the configuration of one command: every value checked, whatever it came from. The
// fields of keys that the command does not use have their defaults.
type Config struct {
	Kafka          kafkaconn.Config
	Topic          string
	GroupID        string
	Isolation      string // ReadCommitted or ReadUncommitted
	MaxRecordBytes int64
	// SchemaRegistryURL and SchemaRegistryAuth are read and checked, and not used.
	SchemaRegistryURL, SchemaRegistryAuth string

	GRPCHost                string
	GRPCPort                int // 0 is any free one
	AllowAnonymous          bool
	TLSCertFile, TLSKeyFile string   // both, or neither for cleartext
	CORSOrigins             []string // in lower case; none means no other origin, "*" means all
	AdminAddr               string   // empty is off

	MaxSubscribers int
	WriteTimeout   time.Duration
	DrainTimeout   time.Duration // 0 is at once

	RetainPayments int
	RetainBytes    int64
	RetainAge      time.Duration

	BackfillReaders int

	AmountUnits payment.Units

	LogLevel  slog.Level
	LogFormat string // text or json

	// PasteBroker is what KAFKA_BROKERS must say in a line to paste, so that it writes to the Kafka
	// that the gateway reads; empty where that is found without.
	PasteBroker string
	// Samples says that the topic is there to be tried out: the page shows how to send it payments.
	Samples bool

	settings []setting
	warnings []warning
}

// GRPCAddr is the address that the gateway listens on.
func (c *Config) GRPCAddr() string {
	return net.JoinHostPort(c.GRPCHost, strconv.Itoa(c.GRPCPort))
}

// A setting is one effective value, as it was written.
type setting struct {
	key    key
	value  string
	source source
	over   []source // that have values of their own, which do not count
}

// A warning is what is odd about the configuration and no reason to refuse it.
type warning struct {
	key     string
	problem string
}

func (w warning) String() string { return w.key + ": " + w.problem }

// loadConfig makes a Config of the keys' values. What is malformed is refused, all of it in one
// error; what is unknown is warned about. A terminal is where the log goes to, if it is one.
func loadConfig(keys []key, from sources, terminal bool) (*Config, error) {
	c := defaultConfig(terminal)
	var refused []error
	for _, k := range keys {
		value, src, over := from.lookup(k)
		if k.name == "LOG_FORMAT" && src == fromDefault {
			value = c.LogFormat
		}
		c.settings = append(c.settings, setting{k, value, src, over})
		if err := k.set(c, value); src != fromDefault && err != nil {
			refused = append(refused, fmt.Errorf("%s (from %s): %w", k.name, src, err))
		}
	}
	if len(refused) == 0 {
		refused = append(refused, c.validate()...)
	}
	c.warnings = append(c.warnings, from.unknown(keys)...)
	c.warnings = append(c.warnings, c.oddities()...)
	return c, refusal(refused)
}

// defaultConfig holds the defaults of all keys.
func defaultConfig(terminal bool) *Config {
	c := &Config{LogFormat: "json", Kafka: kafkaconn.Config{ClientID: "paystream"}}
	if terminal {
		c.LogFormat = "text"
	}
	for _, k := range keys() {
		_ = k.set(c, k.value) // the only one refused is LOG_FORMAT's, which has just been set
	}
	return c
}

// refusal is one error of several, nil of none.
func refusal(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return badUsage(errs[0])
	}
	var b strings.Builder
	b.WriteString("the configuration has errors:")
	for _, err := range errs {
		b.WriteString("\n  " + err.Error())
	}
	return badUsage(errors.New(b.String()))
}

// validate checks what one value alone does not show.
func (c *Config) validate() []error {
	var errs []error
	for _, pair := range [][2]string{
		{"KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"},
		{"KAFKA_SSL_CERT_FILE", "KAFKA_SSL_KEY_FILE"},
		{"GRPC_TLS_CERT_FILE", "GRPC_TLS_KEY_FILE"},
	} {
		switch one, other := c.value(pair[0]) != "", c.value(pair[1]) != ""; {
		case one && !other:
			errs = append(errs, fmt.Errorf("%s is set and %s is not: set both or neither", pair[0], pair[1]))
		case other && !one:
			errs = append(errs, fmt.Errorf("%s is set and %s is not: set both or neither", pair[1], pair[0]))
		}
	}
	if c.has("GRPC_ALLOW_ANONYMOUS") && !c.AllowAnonymous && !isLoopback(c.GRPCHost) {
		errs = append(errs, fmt.Errorf("GRPC_HOST: %q is not a loopback address, and this version asks nobody who they are: "+
			"whoever reaches it would read every payment. To have that, say --allow-anonymous or GRPC_ALLOW_ANONYMOUS=true", c.GRPCHost))
	}
	if len(errs) == 0 && c.has("KAFKA_BROKERS") {
		if err := c.Kafka.Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// oddities are settings that were made for nothing.
func (c *Config) oddities() []warning {
	var odd []warning
	if c.value("KAFKA_SCHEMA_REGISTRY_URL") != "" {
		odd = append(odd, warning{"KAFKA_SCHEMA_REGISTRY_URL", "not used: this version reads plain JSON and knows no schema registry"})
	}
	if c.has("KAFKA_SSL") && !c.Kafka.SSL && (c.Kafka.CAFile != "" || c.Kafka.CertFile != "") {
		odd = append(odd, warning{"KAFKA_SSL", "false, so the KAFKA_SSL_... files are not used and nothing is encrypted: say KAFKA_SSL=true"})
	}
	return odd
}

// value is a key's effective value, empty where the command does not use the key.
func (c *Config) value(name string) string {
	for _, s := range c.settings {
		if s.key.name == name {
			return s.value
		}
	}
	return ""
}

// has reports whether the command uses a key.
func (c *Config) has(name string) bool {
	for _, s := range c.settings {
		if s.key.name == name {
			return true
		}
	}
	return false
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.IsLoopback()
}
