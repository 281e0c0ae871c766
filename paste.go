package main

import (
	"net"
	"strings"
)

// line is a command to paste into a shell, and what it is.
type line struct {
	label, command string
	writes         bool // it sends sample payments
}

// envelopes reads Connect's streaming messages from standard input (a byte of flags, four of
// length, then the message) and prints each on a line of its own, as it comes.
const envelopes = `perl -e '$|=1;while(read(STDIN,$h,5)==5){(undef,$n)=unpack("CN",$h);read(STDIN,$m,$n);print"$m\n"}'`

// pasteLines are the ways to see the payments of the gateway at an address, host:port or an https
// URL, and to send it more through the broker that it reads from. They work in bash, zsh and sh.
// brokerAddr is empty where produce finds that broker by itself.
func pasteLines(gatewayAddr, brokerAddr string) []line {
	addr, secure := strings.CutPrefix(gatewayAddr, "https://")
	addr = dialable(strings.TrimPrefix(addr, "http://"))
	url, grpcurl, tail, produce := "http://"+addr, "grpcurl -plaintext ", "go run . tail", "go run . produce -count=10 -interval=100ms"
	if secure {
		url, grpcurl = "https://"+addr, "grpcurl "
	}
	if secure || addr != net.JoinHostPort("127.0.0.1", "50051") {
		tail += " --address=" + url
	}
	if brokerAddr != "" {
		produce = "KAFKA_BROKERS=" + brokerAddr + " " + produce
	}
	const method = "payment.PaymentService/StreamPayments"
	return []line{
		{label: "NDJSON, with curl", command: "curl -sSN " + url + "/payments/stream"},
		{label: "Server-sent events, with curl", command: "curl -sSN -H 'Accept: text/event-stream' " + url + "/payments/stream"},
		{
			label: "Connect streaming, with curl: request and answers each stand in an envelope of five bytes",
			command: `printf '\000\000\000\000\002{}' | curl -sSN -H 'Content-Type: application/connect+json' --data-binary @- ` +
				url + "/" + method + " | " + envelopes,
		},
		{label: "gRPC, with grpcurl (server reflection, no proto file)", command: grpcurl + addr + " " + method},
		{label: "gRPC, with paystream", command: tail},
		{label: "Ten more payments", command: produce, writes: true},
	}
}
