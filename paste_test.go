package main

import (
	"strings"
	"testing"
)

func TestPasteLines(t *testing.T) {
	for name, tt := range map[string]struct {
		gateway, broker string
		want            []string
		not             string
	}{
		"the usual ports": {
			"127.0.0.1:50051", "",
			[]string{"curl -sSN http://127.0.0.1:50051/payments/stream", "grpcurl -plaintext 127.0.0.1:50051 payment.PaymentService/StreamPayments", "go run . tail", "go run . produce -count=10 -interval=100ms"},
			"KAFKA_BROKERS",
		},
		"other ports": {
			"127.0.0.1:6000", "127.0.0.1:7000",
			[]string{"http://127.0.0.1:6000/payments/stream", "go run . tail --address=http://127.0.0.1:6000", "KAFKA_BROKERS=127.0.0.1:7000 go run . produce"},
			"50051",
		},
		"all addresses": {"[::]:50051", "", []string{"http://127.0.0.1:50051/"}, "::"},
		"TLS":           {"https://127.0.0.1:50051", "", []string{"https://127.0.0.1:50051/payments/stream", "grpcurl 127.0.0.1:50051", "tail --address=https://127.0.0.1:50051"}, "http:"},
	} {
		t.Run(name, func(t *testing.T) {
			var all strings.Builder
			for _, l := range pasteLines(tt.gateway, tt.broker) {
				if l.label == "" || strings.Contains(l.command, "\n") {
					t.Errorf("%+v", l)
				}
				all.WriteString(l.command + "\n")
			}
			for _, want := range tt.want {
				if !strings.Contains(all.String(), want) {
					t.Errorf("no %q in\n%s", want, all.String())
				}
			}
			if strings.Contains(all.String(), tt.not) {
				t.Errorf("%q in\n%s", tt.not, all.String())
			}
		})
	}
}
