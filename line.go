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
	provider := strings.TrimPrefix(p.GetProvider().String(), "PROVIDER_")
	if colors {
		status = statusColor(p.GetStatus()) + status + plainText
		provider = faint + provider + plainText
	}
	return strings.Join([]string{
		printable(p.GetId()),
		payment.FormatAmount(p),
		provider,
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
		return green
	case paymentpb.PaymentStatus_STATUS_PENDING:
		return yellow
	case paymentpb.PaymentStatus_STATUS_FAILED:
		return red
	case paymentpb.PaymentStatus_STATUS_REFUNDED:
		return magenta
	default:
		return faint
	}
}
