package kafkaconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// The SASL mechanisms that are supported.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

// Config says where Kafka is and how to connect to it. Errors about a field
// name the setting it comes from, such as KAFKA_SSL_CA_FILE.
type Config struct {
	// Brokers are the addresses, host or host:port, of some of the cluster's
	// brokers; the others are learnt from them.
	Brokers []string

	// SSL encrypts the connections. CAFile (PEM) replaces the system's roots;
	// CertFile and KeyFile (PEM), both or neither, identify this client.
	SSL                       bool
	CAFile, CertFile, KeyFile string

	// Mechanism is PLAIN (also when empty), SCRAM-SHA-256 or SCRAM-SHA-512. It
	// is used when Username and Password, both or neither, are set.
	Mechanism, Username, Password string

	// ClientID is how brokers know this client in their logs and quotas.
	ClientID string
}

// Validate reports what is wrong with the settings, the files among them,
// without connecting.
func (c Config) Validate() error {
	_, _, err := c.security()
	return err
}

// security checks the settings and returns TLS and SASL, nil where there is none.
func (c Config) security() (*tls.Config, sasl.Mechanism, error) {
	if len(c.Brokers) == 0 {
		return nil, nil, errors.New("KAFKA_BROKERS: no broker given")
	}
	for _, b := range c.Brokers {
		if b == "" || strings.ContainsAny(b, ", /") {
			return nil, nil, fmt.Errorf("KAFKA_BROKERS: %q is not host:port", b)
		}
	}
	tlsConfig, err := c.tls()
	if err != nil {
		return nil, nil, err
	}
	mechanism, err := c.sasl()
	return tlsConfig, mechanism, err
}

// tls returns the TLS settings, nil when there is no TLS.
func (c Config) tls() (*tls.Config, error) {
	if (c.CertFile == "") != (c.KeyFile == "") {
		return nil, errors.New("KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE belong together: set both or neither")
	}
	if !c.SSL {
		return nil, nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("KAFKA_SSL_CA_FILE: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("KAFKA_SSL_CA_FILE: no certificate in PEM form in %s", c.CAFile)
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// sasl returns the SASL mechanism, nil when there is none.
func (c Config) sasl() (sasl.Mechanism, error) {
	if (c.Username == "") != (c.Password == "") {
		return nil, errors.New("KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD belong together: set both or neither")
	}
	algorithm := scram.SHA256
	switch c.Mechanism {
	case "", Plain:
		if c.Username == "" {
			return nil, nil
		}
		return plain.Mechanism{Username: c.Username, Password: c.Password}, nil
	case ScramSHA256:
	case ScramSHA512:
		algorithm = scram.SHA512
	default:
		return nil, fmt.Errorf("KAFKA_SASL_MECHANISM: %q is not one of %s, %s, %s",
			c.Mechanism, Plain, ScramSHA256, ScramSHA512)
	}
	if c.Username == "" {
		return nil, nil
	}
	m, err := scram.Mechanism(algorithm, c.Username, c.Password)
	if err != nil {
		// The cause may quote what it could not prepare.
		return nil, errors.New("KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD: characters that SCRAM does not allow")
	}
	return m, nil
}

func (c Config) mechanism() string {
	if c.Mechanism == "" {
		return Plain
	}
	return c.Mechanism
}
