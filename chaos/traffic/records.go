package traffic

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"paystream/chaos/judge"
)

// record is one to be written.
type record struct {
	kind       judge.Kind
	key, value []byte
	headers    []kgo.RecordHeader
	print      uint64
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
func (r *records) next(bad bool) *record {
	r.n++
	if bad && r.n%100 == 0 {
		r.bad++
		if r.bad%10 == 0 {
			return &record{kind: judge.Tombstone, key: []byte(r.id(r.n - 1))}
		}
		return r.spoilt(badKinds[r.bad%len(badKinds)])
	}
	id, amount := r.id(r.n), int64(100+r.n)
	return &record{kind: judge.Payment, key: []byte(id), value: []byte(r.text(id, amount)), print: Print([]byte(id), amount)}
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

func (r *records) spoilt(kind string) *record {
	id := r.id(r.n)
	value := strings.Replace(kind, "ID", id, 1)
	value = strings.Replace(value, "LONG", strings.Repeat("x", MaxRecordBytes), 1)
	out := &record{kind: judge.Bad, key: []byte(id), value: []byte(value)}
	if r.bad%3 == 0 {
		out.headers = []kgo.RecordHeader{{Key: "trace", Value: []byte(id)}}
	}
	out.print = Bytes(out.key, out.value, out.headers)
	return out
}
