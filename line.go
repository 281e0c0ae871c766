package main

import (
	"strconv"
	"strings"

	"paystream/gen/payment"
	"paystream/payment"
)

// paymentLine is a payment in a line for people: pay_abc | $50.00 USD | STRIPE | COMPLETED.
func paymentLine(p *paymentpb.Payment, colors bool) string {
	status := strings.TrimPrefix(p.GetStatus().String(), "STATUS_")
	if colors {
		status = statusColor(p.GetStatus()) + status + "\x1b[0m"
	}
	return strings.Join([]string{
		printable(p.GetId()),
		payment.FormatAmount(p),
		strings.TrimPrefix(p.GetProvider().String(), "PROVIDER_"),
		status,
	}, " | ")
}

// printable escapes what a terminal could take for a command: ids are whatever stands on Kafka.
func printable(s string) string {
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}

func statusColor(s paymentpb.PaymentStatus) string {
	switch s {
	case paymentpb.PaymentStatus_STATUS_COMPLETED:
		return "\x1b[32m" // green
	case paymentpb.PaymentStatus_STATUS_PENDING:
		return "\x1b[33m" // yellow
	case paymentpb.PaymentStatus_STATUS_FAILED:
		return "\x1b[31m" // red
	case paymentpb.PaymentStatus_STATUS_REFUNDED:
		return "\x1b[36m" // cyan
	default:
		return "\x1b[2m" // faint
	}
}
