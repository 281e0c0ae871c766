// Package sample is the payments that the bench streams: the same ones in every process.
//
// It is pure but for [Payments.Write] and [Read]: what it returns depends on its arguments alone, so
// that the process that writes a payment and the one that checks it need not talk to each other.
package sample

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	paymentpb "paystream/gen/payment"
	"paystream/payment"
	"paystream/producer"
)

// Payment is one payment as it stands on Kafka.
type Payment struct {
	Key   string
	Value []byte
}

// Payments are payments of different ids, by number.
type Payments []Payment

// seed makes all runs stream the same payments.
const seed = 20261123

// Generate returns n payments, each with an id of its own.
func Generate(n int) Payments {
	sampler := producer.NewSampler(seed, payment.Auto)
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	seen := make(map[string]bool, n)
	payments := make(Payments, 0, n)
	for len(payments) < n {
		at = at.Add(time.Second)
		r := sampler.Next(at)
		if !seen[r.Key] {
			seen[r.Key] = true
			payments = append(payments, Payment{r.Key, r.Value})
		}
	}
	return payments
}

// Write writes the payments to a file, for [Read].
func (p Payments) Write(path string) (err error) {
	file, err := os.Create(path) //nolint:gosec // the bench's own temporary file
	if err != nil {
		return fmt.Errorf("write the payments: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := bufio.NewWriter(file)
	for _, payment := range p {
		for _, part := range [][]byte{[]byte(payment.Key), payment.Value} {
			_, _ = out.Write(binary.AppendUvarint(nil, uint64(len(part)))) // Flush tells
			_, _ = out.Write(part)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write the payments: %w", err)
	}
	return nil
}

// Read reads what [Payments.Write] has written.
func Read(path string) (Payments, error) {
	b, err := os.ReadFile(path) //nolint:gosec // the bench's own temporary file
	if err != nil {
		return nil, fmt.Errorf("read the payments: %w", err)
	}
	var payments Payments
	next := func() ([]byte, error) {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, fmt.Errorf("read the payments: %s: %w", path, io.ErrUnexpectedEOF)
		}
		part := b[n : n+int(size)]
		b = b[n+int(size):]
		return part, nil
	}
	for len(b) > 0 {
		key, err := next()
		if err != nil {
			return nil, err
		}
		value, err := next()
		if err != nil {
			return nil, err
		}
		payments = append(payments, Payment{string(key), value})
	}
	return payments, nil
}

// Decode returns a payment as a gateway shows it.
func (p Payment) Decode(recordMillis int64) (*paymentpb.Payment, error) {
	m, err := payment.Decoder{}.Decode(p.Value, recordMillis)
	if err != nil {
		return nil, fmt.Errorf("decode payment %s: %w", p.Key, err)
	}
	return m, nil
}
