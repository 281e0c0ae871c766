package main

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"paystream/gen/payment"
	"paystream/gen/payment/paymentpbconnect"
)

// tailOptions are the flags of tail.
type tailOptions struct {
	address, protocol string
	caFile            string
	provider, status  string
	limit             int32
	cursor, since     string
	newOnly, json     bool
	count             int
	heartbeat         time.Duration
	colors            bool
}

func (p *program) tailCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Subscribe to a gateway and print the payments, a line each",
		Long: `Subscribe to a gateway and print the payments, a line each, first those that exist, then every
new one: pay_abc | $50.00 USD | STRIPE | COMPLETED

Payments go to standard output, all else to standard error. When the stream breaks it goes on by
itself where it was, on this gateway or another behind the same address, and prints no payment
twice. What the gateway no longer has it names, and goes on after it.

On a terminal a line below the payments says how it is getting on, how many have come and how fast.
It is not there where standard output or standard error is no terminal, or TERM is dumb.

Exit codes: 0 stopped, or --count reached, 1 refused by the gateway, 2 bad usage or configuration,
3 the gateway could not be reached in the first place.
`,
		Example: `  paystream tail
  paystream tail --provider=stripe --status=failed --new-only
  paystream tail -json -count=100 | jq .payment.amount
  paystream tail --address=https://payments.example.com --protocol=connect`,
		Args: cobra.NoArgs,
	}
	var o tailOptions
	flags := cmd.Flags()
	flags.StringVar(&o.address, "address", "", "`URL` of the gateway (by default made of the GRPC_ keys)")
	flags.StringVar(&o.caFile, "ca-file", "", "PEM `file` of authorities, besides the system's, that a https gateway's certificate may be from")
	flags.StringVar(&o.protocol, "protocol", "grpc", "grpc, grpcweb or connect")
	flags.StringVar(&o.provider, "provider", "", "only payments of one `provider`: stripe, razorpay or paypal")
	flags.StringVar(&o.status, "status", "", "only payments in one `status`: pending, completed, failed or refunded")
	flags.Int32Var(&o.limit, "limit", 0, "how many existing payments at most, the newest; 0 is all")
	flags.StringVar(&o.cursor, "cursor", "", "go on after this `cursor` of an earlier event (--json shows them)")
	flags.BoolVar(&o.newOnly, "new-only", false, "no existing payments")
	flags.StringVar(&o.since, "since", "", "go on from a `time`, as in 2026-01-31T12:00:00Z, or so long ago, as in 15m")
	flags.BoolVar(&o.json, "json", false, "print each event as a line of JSON")
	flags.IntVar(&o.count, "count", 0, "stop after so many payments; 0 is never")
	flags.DurationVar(&o.heartbeat, "heartbeat", 5*time.Second, "ask for a sign of life after so long; when two are missing, connect anew")
	colors := p.colorFlag(cmd)
	read := p.configFlags(cmd, only(keys(), "GRPC_HOST", "GRPC_PORT", "GRPC_TLS_CERT_FILE", "GRPC_TLS_KEY_FILE"))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := read()
		if err != nil {
			return err
		}
		if o.colors, err = colors(); err != nil {
			return err
		}
		p.printWarnings(cfg)
		t, err := p.newTail(o, cfg)
		if err != nil {
			return badUsage(err)
		}
		return t.run(cmd.Context())
	}
	return cmd
}

func (p *program) newTail(o tailOptions, cfg *Config) (*tail, error) {
	request, err := o.request()
	if err != nil {
		return nil, err
	}
	if o.address == "" {
		o.address = "http://" + dialable(cfg.GRPCAddr())
		if cfg.TLSCertFile != "" { // the gateway of the same configuration, so its certificate is known
			o.address = "https://" + dialable(cfg.GRPCAddr())
			o.caFile = cmp.Or(o.caFile, cfg.TLSCertFile)
		}
	}
	dial, address, err := o.dialer()
	if err != nil {
		return nil, err
	}
	return &tail{
		address: address,
		dial:    dial,
		request: request,
		silence: 2*o.heartbeat + time.Second,
		giveUp:  10 * time.Second,
		count:   o.count,
		view:    func() tailView { return p.tailView(o, address) },
		next:    map[int32]int64{},
	}, nil
}

func (o tailOptions) request() (*paymentpb.StreamPaymentsRequest, error) {
	if o.limit < 0 || o.count < 0 {
		return nil, errors.New("--limit and --count can't be negative")
	}
	if o.heartbeat <= 0 {
		return nil, errors.New("--heartbeat must be more than nothing")
	}
	provider, err := enumValue("provider", o.provider, "PROVIDER_", paymentpb.Provider_value)
	if err != nil {
		return nil, err
	}
	status, err := enumValue("status", o.status, "STATUS_", paymentpb.PaymentStatus_value)
	if err != nil {
		return nil, err
	}
	r := &paymentpb.StreamPaymentsRequest{
		Provider:  paymentpb.Provider(provider),
		Status:    paymentpb.PaymentStatus(status),
		Limit:     o.limit,
		Cursor:    o.cursor,
		Heartbeat: durationpb.New(o.heartbeat),
	}
	if o.newOnly {
		r.Start = paymentpb.StreamStart_START_NEW_ONLY
	}
	if o.since != "" {
		since, err := time.Parse(time.RFC3339, o.since)
		if ago, e := time.ParseDuration(o.since); e == nil && ago > 0 {
			since = time.Now().Add(-ago)
		} else if err != nil {
			return nil, fmt.Errorf("--since: %q is neither a time, as in 2026-01-31T12:00:00Z, nor a duration, as in 15m", o.since)
		}
		r.Since = timestamppb.New(since)
	}
	return r, nil
}

// enumValue is the number of a name, in any case and with or without the enum's prefix.
func enumValue(flag, name, prefix string, values map[string]int32) (int32, error) {
	if name == "" {
		return 0, nil
	}
	if n := values[prefix+strings.TrimPrefix(strings.ToUpper(name), prefix)]; n != 0 {
		return n, nil
	}
	var known []string
	for _, value := range slices.SortedFunc(maps.Keys(values), func(a, b string) int { return int(values[a] - values[b]) }) {
		if values[value] != 0 {
			known = append(known, strings.ToLower(strings.TrimPrefix(value, prefix)))
		}
	}
	return 0, fmt.Errorf("--%s: %q is not %s", flag, name, strings.Join(known, ", "))
}

// dialable is where to connect to what listens on addr.
func dialable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// dialer returns what makes clients, each with connections of its own, and the gateway's URL.
func (o tailOptions) dialer() (func() (paymentpbconnect.PaymentServiceClient, io.Closer), string, error) {
	if !strings.Contains(o.address, "://") {
		o.address = "http://" + o.address
	}
	u, err := url.Parse(o.address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, "", errors.New("--address: write a URL such as http://127.0.0.1:50051")
	}
	roots, err := o.roots()
	if err != nil {
		return nil, "", err
	}
	var options []connect.ClientOption
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	switch o.protocol {
	case "grpc":
		options = append(options, connect.WithGRPC())
		protocols.SetUnencryptedHTTP2(true)
	case "grpcweb":
		options = append(options, connect.WithGRPCWeb())
		protocols.SetHTTP1(true)
	case "connect":
		protocols.SetHTTP1(true)
	default:
		return nil, "", fmt.Errorf("--protocol: %q is not grpc, grpcweb or connect", o.protocol)
	}
	address := strings.TrimSuffix(u.String(), "/")
	return func() (paymentpbconnect.PaymentServiceClient, io.Closer) {
		conns := &connections{}
		transport := &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: conns.dial, Protocols: protocols,
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		}
		return paymentpbconnect.NewPaymentServiceClient(&http.Client{Transport: transport}, address, options...), conns
	}, u.Redacted(), nil
}

// roots are the authorities that are trusted; nil is the system's.
func (o tailOptions) roots() (*x509.CertPool, error) {
	if o.caFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(o.caFile)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca-file: %s holds no certificate in PEM", o.caFile)
	}
	return roots, nil
}

// tailView is the view that fits where the output goes.
func (p *program) tailView(o tailOptions, address string) tailView {
	printer := linePrinter(o.colors)
	if o.json {
		printer = jsonPrinter()
	}
	if !p.obeys(p.stdout) || !p.obeys(p.stderr) {
		return &plainView{out: p.stdout, err: p.stderr, write: printer}
	}
	return newTerminalView(p.stdout, bottomLineOn(p.stderr), printer, address, o.colors)
}

// eventPrinter appends an event to a buffer, with the end of its line.
type eventPrinter func(*bytes.Buffer, *paymentpb.PaymentEvent) error

// linePrinter prints payments for people.
func linePrinter(colors bool) eventPrinter {
	return func(b *bytes.Buffer, e *paymentpb.PaymentEvent) error {
		b.WriteString(paymentLine(e.GetPayment(), colors))
		b.WriteByte('\n')
		return nil
	}
}

// jsonPrinter prints events as the contract's JSON: default values are written.
func jsonPrinter() eventPrinter {
	options := protojson.MarshalOptions{EmitDefaultValues: true}
	return func(b *bytes.Buffer, e *paymentpb.PaymentEvent) error {
		text, err := options.Marshal(e)
		if err != nil {
			return fmt.Errorf("write event %s as JSON: %w", position(e), err)
		}
		if err := json.Compact(b, text); err != nil { // protojson's own spaces vary from build to build
			return fmt.Errorf("write event %s as JSON: %w", position(e), err)
		}
		b.WriteByte('\n')
		return nil
	}
}

func position(e *paymentpb.PaymentEvent) string {
	return strconv.Itoa(int(e.GetPartition())) + "/" + strconv.FormatInt(e.GetOffset(), 10)
}
