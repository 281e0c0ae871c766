package consumer

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/internal/kafkaconn"
)

// The versions of the requests that write; see metadataVersion.
const (
	produceVersion    = 9
	initWriterVersion = 1
)

const (
	// produceMillis is how long a broker may wait for the replicas.
	produceMillis = 5000
	// packBytes is from which size on a batch is compressed. A record that Kafka took in a compressed
	// batch may be larger than the largest batch that it takes.
	packBytes = 256 << 10
)

// batchWriter writes record batches, one after the other, as an idempotent producer: a batch that is
// written again because its acknowledgement was lost is there once, as long as it is the same. It
// keeps keys, values and headers byte for byte, and none from empty. It is used by one goroutine.
type batchWriter struct {
	client *client

	id       int64 // the producer's; -1 is none yet
	epoch    int16
	sequence map[int32]int32 // of the next record, by partition
}

func newBatchWriter(c *client) *batchWriter { return &batchWriter{client: c, id: -1} }

// write writes the records to a partition, all of them or none, and returns the first one's offset
// when all in-sync replicas have them. After an error they may be there; to be sure, the same records
// are written again.
func (w *batchWriter) write(ctx context.Context, to placement, records []*kgo.Record) (int64, error) {
	if to.leader == noLeader {
		return 0, &partitionError{to.partition, errNoLeader}
	}
	if err := w.init(ctx); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait+patience)
	defer cancel()
	res, _, err := ask[*kmsg.ProduceResponse](ctx, w.client, to.leader, w.request(to, records), nil)
	if err != nil {
		return 0, err
	}
	if len(res.Topics) != 1 || len(res.Topics[0].Partitions) != 1 {
		return 0, &partitionError{to.partition, errNotAnswered}
	}
	p := &res.Topics[0].Partitions[0]
	switch err := kerr.ErrorForCode(p.ErrorCode); {
	case err == nil, errors.Is(err, kerr.DuplicateSequenceNumber):
		w.sequence[to.partition] = (w.sequence[to.partition] + int32(len(records))) & math.MaxInt32
		return p.BaseOffset, nil
	case errors.Is(err, kerr.OutOfOrderSequenceNumber), errors.Is(err, kerr.UnknownProducerID),
		errors.Is(err, kerr.InvalidProducerEpoch), errors.Is(err, kerr.InvalidProducerIDMapping):
		w.id = -1 // the broker has lost this producer
		return 0, fmt.Errorf("produce: %w", err)
	default:
		return 0, &kafkaconn.TopicError{Topic: w.client.topic, Err: err}
	}
}

// init has a producer's id given to it, once.
func (w *batchWriter) init(ctx context.Context) error {
	if w.id >= 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, kafkaconn.Patience)
	defer cancel()
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version = initWriterVersion
	res, _, err := ask[*kmsg.InitProducerIDResponse](ctx, w.client, kafkaconn.AnyBroker, req, nil)
	if err == nil {
		err = kerr.ErrorForCode(res.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("get a producer id: %w", err)
	}
	w.id, w.epoch, w.sequence = res.ProducerID, res.ProducerEpoch, map[int32]int32{}
	return nil
}

func (w *batchWriter) request(to placement, records []*kgo.Record) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version = produceVersion
	req.Acks = -1
	req.TimeoutMillis = produceMillis
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = to.partition, w.batch(to.partition, records)
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic = w.client.topic
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	return req
}

// What stands in a record batch before its records, by position.
const (
	batchLength = 8  // the length of what follows it
	batchCRC    = 17 // the checksum of what follows it
	batchHead   = 61
)

// batch is the records in Kafka's format, version 2.
func (w *batchWriter) batch(partition int32, records []*kgo.Record) []byte {
	first := records[0].Timestamp.UnixMilli()
	latest := first
	var body []byte
	for i, r := range records {
		latest = max(latest, r.Timestamp.UnixMilli())
		body = appendRecord(body, r, i, r.Timestamp.UnixMilli()-first)
	}
	attributes := uint16(0)
	if len(body) >= packBytes {
		if packed := pack(body); len(packed) < len(body) {
			body, attributes = packed, 1
		}
	}
	b := make([]byte, batchHead, batchHead+len(body))
	binary.BigEndian.PutUint32(b[batchLength:], uint32(batchHead-batchLength-4+len(body)))
	binary.BigEndian.PutUint32(b[12:], 0xffffffff) // the leader's epoch is the broker's to set
	b[16] = 2                                      // the format
	binary.BigEndian.PutUint16(b[21:], attributes)
	binary.BigEndian.PutUint32(b[23:], uint32(len(records)-1))
	binary.BigEndian.PutUint64(b[27:], uint64(first))
	binary.BigEndian.PutUint64(b[35:], uint64(latest))
	binary.BigEndian.PutUint64(b[43:], uint64(w.id))
	binary.BigEndian.PutUint16(b[51:], uint16(w.epoch))
	binary.BigEndian.PutUint32(b[53:], uint32(w.sequence[partition]))
	binary.BigEndian.PutUint32(b[57:], uint32(len(records)))
	b = append(b, body...)
	binary.BigEndian.PutUint32(b[batchCRC:], crc32.Checksum(b[batchCRC+4:], castagnoli))
	return b
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendRecord(dst []byte, r *kgo.Record, i int, delta int64) []byte {
	b := []byte{0} // attributes, of which there are none
	b = binary.AppendVarint(b, delta)
	b = binary.AppendVarint(b, int64(i))
	b = appendBytes(b, r.Key)
	b = appendBytes(b, r.Value)
	b = binary.AppendVarint(b, int64(len(r.Headers)))
	for _, h := range r.Headers {
		b = binary.AppendVarint(b, int64(len(h.Key)))
		b = append(b, h.Key...)
		b = appendBytes(b, h.Value)
	}
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

// appendBytes tells nil from empty.
func appendBytes(b, value []byte) []byte {
	if value == nil {
		return binary.AppendVarint(b, -1)
	}
	return append(binary.AppendVarint(b, int64(len(value))), value...)
}

func pack(body []byte) []byte {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(body) // a bytes.Buffer takes everything
	_ = z.Close()
	return packed.Bytes()
}
