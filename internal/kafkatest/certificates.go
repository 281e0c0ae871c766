package kafkatest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// The certificates' files in a broker's folder, all PEM.
const (
	caFile          = "ca.pem"
	untrustedCAFile = "untrusted-ca.pem"
	serverFile      = "server.pem" // key, then certificate: one file, as Kafka wants it
	clientCertFile  = "client.pem"
	clientKeyFile   = "client-key.pem"
)

func writeCertificates(dir string) error {
	ca, err := newAuthority("kafkatest CA")
	if err != nil {
		return err
	}
	untrusted, err := newAuthority("kafkatest untrusted CA")
	if err != nil {
		return err
	}
	serverCert, serverKey, err := ca.issue("broker", x509.ExtKeyUsageServerAuth)
	if err != nil {
		return err
	}
	clientCert, clientKey, err := ca.issue("client", x509.ExtKeyUsageClientAuth)
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		caFile:          ca.certificate(),
		untrustedCAFile: untrusted.certificate(),
		serverFile:      append(serverKey, serverCert...),
		clientCertFile:  clientCert,
		clientKeyFile:   clientKey,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// authority is a CA, good for as long as tests run.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(name string) (*authority, error) {
	template := template(name)
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{cert: cert, key: key}, nil
}

func (a *authority) certificate() []byte { return encode("CERTIFICATE", a.cert.Raw) }

// issue makes a key and signs a certificate for it, good for this machine.
func (a *authority) issue(name string, usage x509.ExtKeyUsage) (certificate, key []byte, err error) {
	template := template(name)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	template.DNSNames = []string{"localhost"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private) // the one form that Kafka reads
	if err != nil {
		return nil, nil, err
	}
	return encode("CERTIFICATE", cert), encode("PRIVATE KEY", pkcs8), nil
}

func template(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
	}
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
