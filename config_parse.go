package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"paystream/payment"
)

// What follows makes the parsers of keys. Their errors say what is wrong with the value and what
// would be right; whoever calls them puts the key's name in front. They quote the value only where
// it can't hold a secret.

func text(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, value string) error {
		*field(c) = value
		return nil
	}
}

func oneOf(field func(*Config) *string, allowed ...string) func(*Config, string) error {
	return func(c *Config, value string) error {
		lower := strings.ToLower(value)
		if !slices.Contains(allowed, lower) {
			return fmt.Errorf("%q is not %s", value, strings.Join(allowed, " or "))
		}
		*field(c) = lower
		return nil
	}
}

func boolean(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, value string) error {
		switch strings.ToLower(value) {
		case "true", "1", "yes", "on":
			*field(c) = true
		case "false", "0", "no", "off":
			*field(c) = false
		default:
			return fmt.Errorf("%q is not true or false", value)
		}
		return nil
	}
}

func number(field func(*Config) *int, least, most int) func(*Config, string) error {
	return func(c *Config, value string) error {
		n, err := strconv.Atoi(value)
		if err != nil || n < least || n > most {
			return fmt.Errorf("%q is not a number from %d to %d", value, least, most)
		}
		*field(c) = n
		return nil
	}
}

func duration(field func(*Config) *time.Duration, least time.Duration) func(*Config, string) error {
	return func(c *Config, value string) error {
		d, err := time.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("%q is not a duration: write a number with its unit, such as 500ms, 30s, 10m or 24h", value)
		}
		if d < least {
			return fmt.Errorf("%q is too short: at least %v", value, least)
		}
		*field(c) = d
		return nil
	}
}

func size(field func(*Config) *int64, most int64) func(*Config, string) error {
	return func(c *Config, value string) error {
		n, err := humanize.ParseBytes(value)
		if err != nil {
			return fmt.Errorf("%q is not a size: write bytes, or a number with its unit, such as 512KiB, 64MiB or 1GiB", value)
		}
		if n < 1 || n > uint64(most) {
			return fmt.Errorf("%q is not a size from 1 byte to %s", value, humanize.IBytes(uint64(most)))
		}
		*field(c) = int64(n)
		return nil
	}
}

func logLevel(field func(*Config) *slog.Level) func(*Config, string) error {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo,
		"warn": slog.LevelWarn, "warning": slog.LevelWarn, "error": slog.LevelError,
	}
	return func(c *Config, value string) error {
		level, ok := levels[strings.ToLower(value)]
		if !ok {
			return fmt.Errorf("%q is not debug, info, warn or error", value)
		}
		*field(c) = level
		return nil
	}
}

func amountUnits(c *Config, value string) error {
	units, err := payment.ParseUnits(strings.ToLower(value))
	if err != nil {
		return fmt.Errorf("%q is not auto, minor or major", value)
	}
	c.AmountUnits = units
	return nil
}

func brokers(c *Config, value string) error {
	c.Kafka.Brokers = nil
	for broker := range strings.SplitSeq(value, ",") {
		broker = strings.TrimSpace(broker)
		switch {
		case broker == "":
			continue // a comma too many harms nobody
		case strings.ContainsAny(broker, "/@"):
			// Not quoted: what is written like a URL may hold a password.
			return errors.New("write host:port, comma-separated, without a protocol or user name (KAFKA_SSL and KAFKA_SASL_... are for those)")
		}
		if _, _, err := net.SplitHostPort(broker); err != nil {
			broker = net.JoinHostPort(strings.Trim(broker, "[]"), "9092") // as Kafka's own clients do
		}
		host, port, err := net.SplitHostPort(broker)
		if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || n == 0 || host == "" {
			return fmt.Errorf("%q is not host:port", broker)
		}
		c.Kafka.Brokers = append(c.Kafka.Brokers, broker)
	}
	if len(c.Kafka.Brokers) == 0 {
		return fmt.Errorf("%q names no broker", value)
	}
	return nil
}

func topic(c *Config, value string) error {
	illegal := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}
	switch {
	case strings.Contains(value, ","):
		return fmt.Errorf("%q has a comma: a gateway streams one topic", value)
	case strings.ContainsFunc(value, illegal) || value == "." || value == ".." || len(value) > 249:
		return fmt.Errorf("%q is no name for a topic: Kafka allows up to 249 letters, digits, '.', '_' and '-'", value)
	}
	c.Topic = value
	return nil
}

func mechanism(c *Config, value string) error {
	allowed := []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}
	upper := strings.ToUpper(value)
	if !slices.Contains(allowed, upper) {
		return fmt.Errorf("%q is not PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", value)
	}
	c.Kafka.Mechanism = upper
	return nil
}

func registryURL(c *Config, value string) error {
	c.SchemaRegistryURL = value
	if value == "" {
		return nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("this is not an http or https URL") // not quoted: it may hold a password
	}
	return nil
}

func registryAuth(c *Config, value string) error {
	if value != "" && !strings.Contains(value, ":") {
		return errors.New("write key:secret")
	}
	c.SchemaRegistryAuth = value
	return nil
}

func origins(c *Config, value string) error {
	c.CORSOrigins = nil
	for origin := range strings.SplitSeq(value, ",") {
		origin = strings.TrimSpace(origin)
		if origin == "" {
			continue
		}
		if origin != "*" {
			u, err := url.Parse(origin)
			switch {
			case err != nil || u.User != nil:
				return errors.New("write origins as scheme://host or scheme://host:port, comma-separated")
			case u.Scheme == "" || u.Host == "" || strings.Contains(u.Host, "*"):
				return fmt.Errorf("%q is no origin: write scheme://host or scheme://host:port, or * alone for all", origin)
			case origin != u.Scheme+"://"+u.Host:
				return fmt.Errorf("%q is more than an origin: write %s://%s", origin, u.Scheme, u.Host)
			}
		}
		c.CORSOrigins = append(c.CORSOrigins, strings.ToLower(origin)) // as browsers send them
	}
	return nil
}

func adminAddr(c *Config, value string) error {
	if value != "" {
		_, port, err := net.SplitHostPort(value)
		if n, e := strconv.Atoi(port); err != nil || e != nil || n < 0 || n > math.MaxUint16 {
			return fmt.Errorf("%q is not host:port", value)
		}
	}
	c.AdminAddr = value
	return nil
}
