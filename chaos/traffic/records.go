package traffic

import (
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/chaos/judge"
)

// Record is one to be written.
type Record struct {
	Kind       judge.Kind
	Key, Value []byte
	Headers    []kgo.RecordHeader
	Print      uint64 // of a bad record, of all its bytes
}

// Samples are the first records of a name, bad ones among them.
func Samples(name string, n int) iter.Seq[*Record] {
	return func(yield func(*Record) bool) {
		r := newRecords(name)
		for range n {
			if !yield(r.next(true)) {
				return
			}
		}
	}
}

// records makes records, each with a number of its own.
type records struct {
	name   string
	n, bad int
}

func newRecords(name string) *records { return &records{name: name} }

var (
	providers  = [...]string{"stripe", "Razorpay", "PAYPAL", "adyen"}
	currencies = [...]string{"USD", "EUR", "JPY", "KWD"}
	statuses   = [...]string{"pending", "SUCCEEDED", "failed", "refunded"}
)

// next returns a payment, or, where they are wanted, one time in a hundred a bad record or a tombstone.
func (r *records) next(bad bool) *Record {
	r.n++
	if bad && r.n%100 == 0 {
		r.bad++
		if r.bad%10 == 0 {
			return &Record{Kind: judge.Tombstone, Key: []byte(r.id(r.n - 1))}
		}
		return r.spoilt(badKinds[r.bad%len(badKinds)])
	}
	id, amount := r.id(r.n), int64(100+r.n)
	return &Record{Kind: judge.Payment, Key: []byte(id), Value: []byte(r.text(id, amount)), Print: Print([]byte(id), amount)}
}

func (r *records) id(n int) string { return r.name + "-" + strconv.Itoa(n) }

func (r *records) text(id string, amount int64) string {
	return fmt.Sprintf(`{"id":%q,"provider":%q,"amount":%d,"currency":%q,"status":%q,"customer_email":"a@example.com","metadata":{"n":"%d"}}`,
		id, providers[r.n%len(providers)], amount, currencies[r.n%len(currencies)], statuses[r.n/7%len(statuses)], r.n)
}

// MaxRecordBytes is what gateways are told: larger records are bad ones.
const MaxRecordBytes = 64 << 10

// badKinds are all ways to be a bad record, as values; ID stands for an id.
var badKinds = []string{
	``,
	`{`,
	`null`,
	`[]`,
	`"pay"`,
	`{"id":"ID","amount":1,"currency":"USD"} {}`,
	`{"amount":1,"currency":"USD"}`,
	`{"id":"","amount":1,"currency":"USD"}`,
	`{"id":7,"amount":1,"currency":"USD"}`,
	`{"id":"ID","currency":"USD"}`,
	`{"id":"ID","amount":-1,"currency":"USD"}`,
	`{"id":"ID","amount":"NaN","currency":"USD"}`,
	`{"id":"ID","amount":"ten","currency":"USD"}`,
	`{"id":"ID","amount":true,"currency":"USD"}`,
	`{"id":"ID","amount":1e999999999,"currency":"USD"}`,
	`{"id":"ID","amount":1}`,
	`{"id":"ID","amount":1,"currency":"US"}`,
	`{"id":"ID","amount":1,"currency":"U5D"}`,
	`{"id":"ID","amount":1,"currency":840}`,
	`{"id":"ID","amount":1,"currency":"XXQ"}`, // none of ISO 4217's, and the units are minor ones
	"{\"id\":\"ID\",\"amount\":1,\"currency\":\"USD\",\"customer_email\":\"\xff\"}",
	`{"id":"ID","amount":1,"currency":"USD","note":"LONG"}`,
}

func (r *records) spoilt(kind string) *Record {
	id := r.id(r.n)
	value := strings.Replace(kind, "ID", id, 1)
	value = strings.Replace(value, "LONG", strings.Repeat("x", MaxRecordBytes), 1)
	out := &Record{Kind: judge.Bad, Key: []byte(id), Value: []byte(value)}
	if r.bad%3 == 0 {
		out.Headers = []kgo.RecordHeader{{Key: "trace", Value: []byte(id)}}
	}
	out.Print = Bytes(out.Key, out.Value, out.Headers)
	return out
}
