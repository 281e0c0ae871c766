package kafkaconn_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"paystream/internal/kafkaconn"
)

func TestValidateNamesTheSetting(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.pem")
	if err := os.WriteFile(garbage, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, ca := certificate(t)
	ok := kafkaconn.Config{Brokers: []string{"localhost:9092"}}
	for name, tc := range map[string]struct {
		change func(*kafkaconn.Config)
		say    string // empty is no error
	}{
		"as little as possible": {func(*kafkaconn.Config) {}, ""},
		"no brokers":            {func(c *kafkaconn.Config) { c.Brokers = nil }, "KAFKA_BROKERS"},
		"empty broker":          {func(c *kafkaconn.Config) { c.Brokers = []string{"a:1", ""} }, "KAFKA_BROKERS"},
		"a URL as broker":       {func(c *kafkaconn.Config) { c.Brokers = []string{"kafka://a:1"} }, "KAFKA_BROKERS"},
		"CA":                    {func(c *kafkaconn.Config) { c.SSL, c.CAFile = true, ca }, ""},
		"no such CA file":       {func(c *kafkaconn.Config) { c.SSL, c.CAFile = true, filepath.Join(dir, "none") }, "KAFKA_SSL_CA_FILE: "},
		"CA file without PEM":   {func(c *kafkaconn.Config) { c.SSL, c.CAFile = true, garbage }, "KAFKA_SSL_CA_FILE: no certificate"},
		"certificate, no key":   {func(c *kafkaconn.Config) { c.SSL, c.CertFile = true, ca }, "KAFKA_SSL_KEY_FILE"},
		"key, no certificate":   {func(c *kafkaconn.Config) { c.SSL, c.KeyFile = true, ca }, "KAFKA_SSL_CERT_FILE"},
		"key without PEM": {
			func(c *kafkaconn.Config) { c.SSL, c.CertFile, c.KeyFile = true, ca, garbage }, "KAFKA_SSL_KEY_FILE",
		},
		"username, no password": {func(c *kafkaconn.Config) { c.Username = "a" }, "KAFKA_SASL_PASSWORD"},
		"password, no username": {func(c *kafkaconn.Config) { c.Password = "a" }, "KAFKA_SASL_USERNAME"},
		"mechanism unknown":     {func(c *kafkaconn.Config) { c.Mechanism = "GSSAPI" }, "KAFKA_SASL_MECHANISM"},
		"mechanism alone":       {func(c *kafkaconn.Config) { c.Mechanism = kafkaconn.ScramSHA512 }, ""},
		"SCRAM": {
			func(c *kafkaconn.Config) { c.Mechanism, c.Username, c.Password = kafkaconn.ScramSHA256, "a", "b" }, "",
		},
		"SCRAM, password not allowed": {
			func(c *kafkaconn.Config) { c.Mechanism, c.Username, c.Password = kafkaconn.ScramSHA256, "a", "b\x00c" },
			"KAFKA_SASL_PASSWORD",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := ok
			tc.change(&cfg)
			err := cfg.Validate()
			switch {
			case tc.say == "" && err != nil:
				t.Fatal(err)
			case tc.say != "" && (err == nil || !strings.Contains(err.Error(), tc.say)):
				t.Fatalf("error %v does not say %q", err, tc.say)
			}
		})
	}
}

// clusterTLS starts a broker with TLS and returns the file that says whom to
// trust.
func clusterTLS(t *testing.T) (*kfake.Cluster, string) {
	t.Helper()
	pair, file := certificate(t)
	c := cluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}))
	return c, file
}

// certificate makes a certificate for loopback that is its own authority, and
// writes it to a file in PEM form.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotAfter:              time.Now().Add(time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}
