package main

import (
	"log/slog"
	"slices"
	"strings"
	"time"
)

// A key is one setting, by its name in the environment and in .env. Each is also a flag, on the
// commands that use it.
type key struct {
	name   string
	value  string // the default
	help   string
	kind   string // of value, for the help
	secret bool
	empty  bool // an empty value is a value; of other keys it is as none
	set    func(c *Config, value string) error
}

// flag is the key's name on the command line.
func (k key) flag() string {
	if k.name == "GRPC_ALLOW_ANONYMOUS" {
		return "allow-anonymous"
	}
	return strings.ReplaceAll(strings.ToLower(k.name), "_", "-")
}

// keys is every setting, in the order in which people read of them.
func keys() []key {
	return slices.Concat(kafkaKeys(), grpcKeys(), limitKeys(), logKeys())
}

func kafkaKeys() []key {
	return []key{
		{
			name: "KAFKA_BROKERS", value: "localhost:9092", kind: "list",
			help: "some of Kafka's brokers, host:port, comma-separated",
			set:  brokers,
		}, {
			name: "KAFKA_TOPIC", value: "payments.raw", kind: "name",
			help: "topic of the payments",
			set:  topic,
		}, {
			name: "KAFKA_GROUP_ID", value: "payment-service", kind: "name",
			help: "consumer group whose offsets tell what is settled",
			set:  text(func(c *Config) *string { return &c.GroupID }),
		}, {
			name: "KAFKA_SSL", value: "false", kind: "bool",
			help: "connect to Kafka with TLS",
			set:  boolean(func(c *Config) *bool { return &c.Kafka.SSL }),
		}, {
			name: "KAFKA_SSL_CA_FILE", kind: "file", empty: true,
			help: "PEM file of the authorities that Kafka's certificate is checked against, in place of the system's",
			set:  text(func(c *Config) *string { return &c.Kafka.CAFile }),
		}, {
			name: "KAFKA_SSL_CERT_FILE", kind: "file", empty: true,
			help: "PEM file of the client certificate, with KAFKA_SSL_KEY_FILE",
			set:  text(func(c *Config) *string { return &c.Kafka.CertFile }),
		}, {
			name: "KAFKA_SSL_KEY_FILE", kind: "file", empty: true,
			help: "PEM file of the client certificate's key",
			set:  text(func(c *Config) *string { return &c.Kafka.KeyFile }),
		}, {
			name: "KAFKA_SASL_MECHANISM", value: "PLAIN", kind: "name",
			help: "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; used when user name and password are set",
			set:  mechanism,
		}, {
			name: "KAFKA_SASL_USERNAME", kind: "name", empty: true,
			help: "user name for SASL, with KAFKA_SASL_PASSWORD",
			set:  text(func(c *Config) *string { return &c.Kafka.Username }),
		}, {
			name: "KAFKA_SASL_PASSWORD", kind: "secret", empty: true, secret: true,
			help: "password for SASL; every user of the machine can read flags, so rather set it in the environment or .env",
			set:  text(func(c *Config) *string { return &c.Kafka.Password }),
		}, {
			name: "KAFKA_SCHEMA_REGISTRY_URL", kind: "url", empty: true,
			help: "not used in this version: records are plain JSON",
			set:  registryURL,
		}, {
			name: "KAFKA_SCHEMA_REGISTRY_AUTH", kind: "secret", empty: true, secret: true,
			help: "key:secret for the schema registry; not used in this version",
			set:  registryAuth,
		}, {
			name: "KAFKA_ISOLATION_LEVEL", value: ReadCommitted, kind: "name",
			help: "read_committed, or read_uncommitted to stream payments of open and aborted transactions too",
			set:  oneOf(func(c *Config) *string { return &c.Isolation }, ReadCommitted, ReadUncommitted),
		}, {
			name: "KAFKA_MAX_RECORD_BYTES", value: "1MiB", kind: "size",
			help: "a larger record is a bad record",
			set:  size(func(c *Config) *int64 { return &c.MaxRecordBytes }, 1<<30),
		},
	}
}

func grpcKeys() []key {
	return []key{
		{
			name: "GRPC_HOST", value: "127.0.0.1", kind: "host",
			help: "address that the gateway listens on; any other than loopback needs GRPC_ALLOW_ANONYMOUS",
			set:  text(func(c *Config) *string { return &c.GRPCHost }),
		}, {
			name: "GRPC_PORT", value: "50051", kind: "port",
			help: "port of the gateway, for every protocol; 0 is any free one",
			set:  number(func(c *Config) *int { return &c.GRPCPort }, 0, 65535),
		}, {
			name: "GRPC_ALLOW_ANONYMOUS", value: "false", kind: "bool",
			help: "listen on other addresses than loopback, although whoever reaches them reads every payment",
			set:  boolean(func(c *Config) *bool { return &c.AllowAnonymous }),
		}, {
			name: "GRPC_TLS_CERT_FILE", kind: "file", empty: true,
			help: "PEM file of the gateway's certificate, with GRPC_TLS_KEY_FILE; without them it speaks cleartext",
			set:  text(func(c *Config) *string { return &c.TLSCertFile }),
		}, {
			name: "GRPC_TLS_KEY_FILE", kind: "file", empty: true,
			help: "PEM file of the certificate's key",
			set:  text(func(c *Config) *string { return &c.TLSKeyFile }),
		}, {
			name: "CORS_ORIGINS", kind: "list", empty: true,
			help: "origins whose web pages may read payments, such as https://app.example.com, comma-separated; * is all",
			set:  origins,
		}, {
			name: "ADMIN_ADDR", value: "127.0.0.1:9464", kind: "host:port", empty: true,
			help: "address of metrics and pprof; empty is off",
			set:  adminAddr,
		},
	}
}

func limitKeys() []key {
	return []key{
		{
			name: "MAX_SUBSCRIBERS", value: "10000", kind: "number",
			help: "streams at a time; more are told ResourceExhausted",
			set:  number(func(c *Config) *int { return &c.MaxSubscribers }, 1, 1<<31-1),
		}, {
			name: "WRITE_TIMEOUT", value: "60s", kind: "duration",
			help: "a subscriber that takes nothing for so long is closed",
			set:  duration(func(c *Config) *time.Duration { return &c.WriteTimeout }, time.Millisecond),
		}, {
			name: "DRAIN_TIMEOUT", value: "10s", kind: "duration",
			help: "how long the end may take after SIGTERM",
			set:  duration(func(c *Config) *time.Duration { return &c.DrainTimeout }, 0),
		}, {
			name: "RETAIN_PAYMENTS", value: "100000", kind: "number",
			help: "records kept in memory; with the next two, whichever comes first",
			set:  number(func(c *Config) *int { return &c.RetainPayments }, 1, 1<<31-1),
		}, {
			name: "RETAIN_BYTES", value: "64MiB", kind: "size",
			help: "memory for them, frames included",
			set:  size(func(c *Config) *int64 { return &c.RetainBytes }, 1<<50),
		}, {
			name: "RETAIN_AGE", value: "24h", kind: "duration",
			help: "how long they are kept",
			set:  duration(func(c *Config) *time.Duration { return &c.RetainAge }, time.Millisecond),
		}, {
			name: "BACKFILL_READERS", value: "4", kind: "number",
			help: "how many at once read again from Kafka what subscribers need from before that, with some 20 MiB each; others wait",
			set:  number(func(c *Config) *int { return &c.BackfillReaders }, 1, 1000),
		}, {
			name: "AMOUNT_UNITS", value: "auto", kind: "name",
			help: "what the number in an amount is: minor (cents), major (dollars), or auto, which guesses; say minor or major if you can",
			set:  amountUnits,
		},
	}
}

func logKeys() []key {
	return []key{
		{
			name: "LOG_LEVEL", value: "info", kind: "name",
			help: "debug, info, warn or error",
			set:  logLevel(func(c *Config) *slog.Level { return &c.LogLevel }),
		}, {
			name: "LOG_FORMAT", kind: "name",
			help: "text or json; by default text on a terminal, else json",
			set:  oneOf(func(c *Config) *string { return &c.LogFormat }, "text", "json"),
		},
	}
}

// only returns the keys of those names.
func only(all []key, names ...string) []key {
	return slices.DeleteFunc(all, func(k key) bool { return !slices.Contains(names, k.name) })
}

// without returns the keys but for those of those names.
func without(all []key, names ...string) []key {
	return slices.DeleteFunc(all, func(k key) bool { return slices.Contains(names, k.name) })
}
