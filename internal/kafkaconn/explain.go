package kafkaconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
)

// What an explained error is, for a program that acts on it.
var (
	// ErrUnreachable: no broker answered.
	ErrUnreachable = errors.New("cannot reach Kafka")
	// ErrRefused: a broker answered and would not have this client: TLS, SASL
	// or authorization.
	ErrRefused = errors.New("refused by Kafka")
	// ErrNoTopic: the topic does not exist.
	ErrNoTopic = errors.New("no such topic")
)

// TopicError is a broker's error about a topic.
type TopicError struct {
	Topic string
	Err   error // of package kerr
}

func (e *TopicError) Error() string { return fmt.Sprintf("topic %s: %v", e.Topic, e.Err) }

func (e *TopicError) Unwrap() error { return e.Err }

// explained is an error in words for the person who has to act.
type explained struct {
	text  string
	kind  error // one of the Err variables, or nil
	cause error
}

func (e *explained) Error() string { return e.text }

func (e *explained) Unwrap() []error {
	if e.kind == nil {
		return []error{e.cause}
	}
	return []error{e.kind, e.cause}
}

// Explain returns err in words: what was tried, what went wrong, what to set. It
// wraps err, and one of ErrUnreachable, ErrRefused and ErrNoTopic where that is
// what it means. An error that it does not know comes back unchanged.
func (c Config) Explain(err error) error {
	if err == nil {
		return nil
	}
	if e := (*explained)(nil); errors.As(err, &e) {
		return err
	}
	for _, explain := range []func(error) *explained{
		c.explainCode, c.explainTLS, c.explainDial, c.explainEnd,
	} {
		if e := explain(err); e != nil {
			e.cause = err
			return e
		}
	}
	return err
}

// explainCode explains what a broker said.
func (c Config) explainCode(err error) *explained {
	topic := ""
	if t := (*TopicError)(nil); errors.As(err, &t) {
		topic = t.Topic
	}
	switch code(err) {
	case kerr.SaslAuthenticationFailed.Code:
		return &explained{kind: ErrRefused, text: fmt.Sprintf(
			"Kafka at %s refused the username or password of %q (%s): check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM",
			c.where(), c.Username, c.mechanism())}
	case kerr.UnsupportedSaslMechanism.Code:
		return &explained{kind: ErrRefused, text: fmt.Sprintf(
			"Kafka at %s does not support the SASL mechanism %s there: set KAFKA_SASL_MECHANISM to one that it does",
			c.where(), c.mechanism())}
	case kerr.IllegalSaslState.Code:
		return &explained{kind: ErrRefused, text: fmt.Sprintf(
			"Kafka at %s expects no username there: unset KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, or name a listener with SASL in KAFKA_BROKERS",
			c.where())}
	case kerr.UnknownTopicOrPartition.Code, kerr.UnknownTopicID.Code:
		if topic == "" {
			return nil
		}
		return &explained{kind: ErrNoTopic, text: fmt.Sprintf(
			"topic %q does not exist on Kafka at %s: create it (kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions 3) or set KAFKA_TOPIC",
			topic, c.where(), c.first(), topic)}
	case kerr.InvalidTopicException.Code:
		return &explained{kind: ErrNoTopic, text: fmt.Sprintf(
			"%q is no name that Kafka allows for a topic: set KAFKA_TOPIC", topic)}
	case kerr.TopicAuthorizationFailed.Code:
		return &explained{kind: ErrRefused, text: fmt.Sprintf(
			"Kafka at %s does not allow %s the access to topic %q that it needs: grant it DESCRIBE and READ (to produce: WRITE)",
			c.where(), c.who(), topic)}
	case kerr.BrokerNotAvailable.Code:
		return &explained{kind: ErrUnreachable, text: fmt.Sprintf(
			"no broker at %s knows the address of the one that is needed: is it running?", c.where())}
	case kerr.ClusterAuthorizationFailed.Code, kerr.GroupAuthorizationFailed.Code:
		return &explained{kind: ErrRefused, text: fmt.Sprintf(
			"Kafka at %s does not authorize %s: %v", c.where(), c.who(), err)}
	}
	return nil
}

// explainTLS explains why no encrypted connection came about.
func (c Config) explainTLS(err error) *explained {
	address := c.address(err)
	refused := func(format string, args ...any) *explained {
		return &explained{kind: ErrRefused, text: fmt.Sprintf(format, args...)}
	}
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		shake     *HandshakeError
	)
	switch {
	case errors.As(err, &authority):
		return refused("Kafka at %s has a certificate signed by unknown authority: set KAFKA_SSL_CA_FILE to the certificate of the authority that signed it", address)
	case errors.As(err, &hostname):
		return refused("Kafka at %s has a certificate for another name (%v): use a name in KAFKA_BROKERS that it was issued for", address, hostname)
	case errors.As(err, &invalid):
		return refused("Kafka at %s has a certificate that is not valid: %v", address, invalid)
	case errors.As(err, &record):
		return refused("%s does not speak TLS: unset KAFKA_SSL, or name a TLS listener in KAFKA_BROKERS", address)
	case errors.As(err, &alert), strings.Contains(err.Error(), "remote error: tls:"):
		if c.CertFile == "" {
			return refused("Kafka at %s refused the TLS connection (%s): it may want a client certificate: set KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE", address, last(err))
		}
		return refused("Kafka at %s refused the TLS connection (%s): check KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE", address, last(err))
	case errors.As(err, &shake) && ended(err):
		return refused("%s ended the connection when TLS began: if it is a listener without TLS, unset KAFKA_SSL", address)
	case errors.Is(err, errSpeaksTLS):
		return refused("Kafka at %s speaks TLS there: set KAFKA_SSL=true, or name a listener without TLS in KAFKA_BROKERS", address)
	}
	return nil
}

// explainDial explains why there is no connection at all.
func (c Config) explainDial(err error) *explained {
	var dial *DialError
	if !errors.As(err, &dial) {
		return nil
	}
	var dns *net.DNSError
	why := last(dial.Err)
	switch {
	case errors.As(err, &dns):
		why = "no such host"
		if !dns.IsNotFound {
			why = dns.Error()
		}
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "connection refused"
	case timedOut(err):
		why = "no answer in time"
	}
	advice := "is it running? set KAFKA_BROKERS"
	if !c.names(dial.Address) {
		advice = "KAFKA_BROKERS does not name this address: a broker gave it as its own (advertised.listeners), and it must be reachable from here"
	}
	return &explained{kind: ErrUnreachable, text: fmt.Sprintf("cannot reach Kafka at %s: %s; %s", c.whereDialed(dial), why, advice)}
}

// explainEnd explains connections that ended without a word.
func (c Config) explainEnd(err error) *explained {
	unreachable := func(format string, args ...any) *explained {
		return &explained{kind: ErrUnreachable, text: fmt.Sprintf(format, args...)}
	}
	switch {
	case errors.Is(err, errNotKafka):
		return unreachable("what answers at %s is not Kafka (%v): check KAFKA_BROKERS", c.where(), err)
	case errors.Is(err, context.Canceled):
		return nil
	case timedOut(err):
		return unreachable("Kafka at %s does not answer in time: is it overloaded, or is a firewall in between?", c.where())
	case ended(err) && c.Username == "":
		return unreachable("Kafka at %s closed the connection: it may have stopped, or the listener may want KAFKA_SSL or a username and password (KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD)", c.where())
	case ended(err):
		return unreachable("Kafka at %s closed the connection: it may have stopped, or refused the username or password (KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD), or want another setting of KAFKA_SSL", c.where())
	}
	return nil
}

// code returns the code of a broker's error, or 0.
func code(err error) int16 {
	var (
		k *kerr.Error
		e kafka.Error
	)
	switch {
	case errors.As(err, &k):
		return k.Code
	case errors.As(err, &e):
		return int16(e)
	}
	return 0
}

func timedOut(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		(errors.As(err, &n) && n.Timeout())
}

func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// last returns the text of the innermost error.
func last(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err.Error()
		}
		err = next
	}
}

func (c Config) where() string { return strings.Join(c.Brokers, ", ") }

func (c Config) first() string { return c.Brokers[0] }

func (c Config) who() string {
	if c.Username == "" {
		return "anonymous clients"
	}
	return fmt.Sprintf("user %q", c.Username)
}

// address returns what was dialled, as far as err knows.
func (c Config) address(err error) string {
	if d := (*DialError)(nil); errors.As(err, &d) {
		return d.Address
	}
	return c.where()
}

// whereDialed returns all brokers of the settings where one of them was dialled:
// they are tried one after the other, and only the last failure is known.
func (c Config) whereDialed(d *DialError) string {
	if c.names(d.Address) {
		return c.where()
	}
	return d.Address
}

func (c Config) names(address string) bool {
	return slices.ContainsFunc(c.Brokers, func(b string) bool {
		return b == address || kafka.TCP(b).String() == address
	})
}
