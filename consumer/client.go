package consumer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"math"
	"net"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"paystream/internal/kafkaconn"
)

// The versions of the requests. Kafka has had them all since 2.8, but for the fetch by topic id, which came with 3.1;
// 4.x still has them. Fetched by its name, a topic that has been made anew gives records at the old one's offsets, until
// the metadata tell.
const (
	apiVersionsVersion = 2  // the newest whose answer has the header of old
	metadataVersion    = 10 // the first with topic ids
	listOffsetsVersion = 6
	epochVersion       = 3
	fetchByName        = 12
	fetchByID          = 13
)

// noLeader stands for the leader of a partition that has none.
const noLeader int32 = -1

// client asks brokers about one topic.
type client struct {
	transport *kafkaconn.Transport
	topic     string
	committed bool // what isn't committed does not exist

	clusterID    string
	topicID      [16]byte
	fetchVersion int16
}

// view is the topic as a broker sees it.
type view struct {
	clusterID  string
	topicID    [16]byte
	brokers    map[int32]string // addresses
	partitions []placement      // by number
	controller int32            // the broker that makes topics
	replicas   int              // of a partition
}

// placement is a partition and who leads it.
type placement struct {
	partition int32
	leader    int32 // noLeader is none
	epoch     int32
}

// partitionError is an error of one partition.
type partitionError struct {
	partition int32
	err       error
}

func (e *partitionError) Error() string { return fmt.Sprintf("partition %d: %v", e.partition, e.err) }

func (e *partitionError) Unwrap() error { return e.err }

func (c *client) brokers() string { return c.transport.Addr().String() }

// found says which topic it is.
func (c *client) found(v *view) { c.clusterID, c.topicID = v.clusterID, v.topicID }

// metadata asks any broker where the topic's partitions are.
func (c *client) metadata(ctx context.Context) (*view, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = metadataVersion
	req.AllowAutoTopicCreation = false
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &c.topic
	req.Topics = append(req.Topics, topic)

	ctx, cancel := context.WithTimeout(ctx, kafkaconn.Patience)
	defer cancel()
	res, _, err := ask[*kmsg.MetadataResponse](ctx, c, kafkaconn.AnyBroker, req, nil)
	if err != nil {
		return nil, err
	}
	return c.view(res)
}

// learnVersion asks any broker how to fetch.
func (c *client) learnVersion(ctx context.Context) error {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = apiVersionsVersion
	ctx, cancel := context.WithTimeout(ctx, kafkaconn.Patience)
	defer cancel()
	res, _, err := ask[*kmsg.ApiVersionsResponse](ctx, c, kafkaconn.AnyBroker, req, nil)
	if err == nil {
		err = kerr.ErrorForCode(res.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("ask for the versions of requests: %w", err)
	}
	c.fetchVersion = fetchByName
	for _, key := range res.ApiKeys {
		if key.ApiKey == (*kmsg.FetchRequest)(nil).Key() && key.MaxVersion >= fetchByID {
			c.fetchVersion = fetchByID
		}
	}
	return nil
}

// ask sends a request to a broker, as [kafkaconn.Transport.Request] does.
func ask[R kmsg.Response](ctx context.Context, c *client, broker int32, req kmsg.Request, buf []byte) (R, []byte, error) {
	var none R
	res, buf, err := c.transport.Request(ctx, broker, req, buf)
	if err != nil {
		return none, nil, err
	}
	r, ok := res.(R)
	if !ok {
		return none, nil, fmt.Errorf("%T answered by %T", req, res)
	}
	return r, buf, nil
}

// fetchRequest asks for what follows positions, up to about maxBytes in all.
func (c *client) fetchRequest(maxBytes int32, at ...position) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version = cmp.Or(c.fetchVersion, fetchByName)
	req.MaxWaitMillis = int32(maxWait.Milliseconds())
	req.MinBytes = 1
	req.MaxBytes = maxBytes
	req.IsolationLevel = c.isolation()
	req.SessionID, req.SessionEpoch = 0, -1 // no session
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = c.topic, c.topicID // the version says which is sent
	for _, a := range at {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch, p.FetchOffset, p.PartitionMaxBytes = a.partition, a.epoch, a.offset, a.maxBytes
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	return req
}

func (c *client) view(res *kmsg.MetadataResponse) (*view, error) {
	if len(res.Topics) != 1 {
		return nil, fmt.Errorf("metadata of %d topics instead of 1", len(res.Topics))
	}
	t := res.Topics[0]
	if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
		return nil, &kafkaconn.TopicError{Topic: c.topic, Err: err}
	}
	v := &view{topicID: t.TopicID, brokers: map[int32]string{}, controller: res.ControllerID}
	if res.ClusterID != nil {
		v.clusterID = *res.ClusterID
	}
	for _, b := range res.Brokers {
		v.brokers[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	v.partitions = make([]placement, len(t.Partitions))
	for _, p := range t.Partitions {
		if int(p.Partition) >= len(v.partitions) || p.Partition < 0 {
			return nil, fmt.Errorf("metadata of partition %d, but not of all before it", p.Partition)
		}
		leader := p.Leader
		if _, ok := v.brokers[leader]; !ok {
			leader = noLeader // it has died
		}
		v.partitions[p.Partition] = placement{partition: p.Partition, leader: leader, epoch: p.LeaderEpoch}
		v.replicas = max(v.replicas, len(p.Replicas))
	}
	if len(v.partitions) == 0 {
		return nil, &kafkaconn.TopicError{Topic: c.topic, Err: kerr.UnknownTopicOrPartition}
	}
	return v, nil
}

// fingerprint tells topics apart, also ones of the same name.
func (v *view) fingerprint() [8]byte {
	sum := sha256.Sum256(append([]byte(v.clusterID+"\x00"), v.topicID[:]...))
	return [8]byte(sum[:])
}

// What offsets takes instead of a time.
const (
	latest   int64 = -1 // the end, as the isolation level sees it
	earliest int64 = -2
)

// offsets returns, for each of the partitions, the first offset at or after a
// time (Unix milliseconds), or -1 where there is none; or the end or the
// beginning. It fails when that is not known of all of them.
func (c *client) offsets(ctx context.Context, of []placement, at int64) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, kafkaconn.Patience)
	defer cancel()
	byLeader := map[int32][]placement{}
	for _, p := range of {
		if p.leader == noLeader {
			return nil, &partitionError{p.partition, errNoLeader}
		}
		byLeader[p.leader] = append(byLeader[p.leader], p)
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		found = map[int32]int64{}
		fail  error
	)
	for leader, of := range byLeader {
		wg.Go(func() {
			some, err := c.offsetsOf(ctx, leader, of, at)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && fail == nil {
				fail = err
			}
			maps.Copy(found, some)
		})
	}
	wg.Wait()
	if fail != nil {
		return nil, fail
	}
	list := make([]int64, len(of))
	for i, p := range of {
		offset, ok := found[p.partition]
		if !ok {
			return nil, &partitionError{p.partition, errNotAnswered}
		}
		list[i] = offset
	}
	return list, nil
}

// offsetsOf asks one leader.
func (c *client) offsetsOf(ctx context.Context, leader int32, of []placement, at int64) (map[int32]int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = listOffsetsVersion
	req.IsolationLevel = c.isolation()
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = c.topic
	for _, p := range of {
		one := kmsg.NewListOffsetsRequestTopicPartition()
		one.Partition, one.CurrentLeaderEpoch, one.Timestamp = p.partition, p.epoch, at
		topic.Partitions = append(topic.Partitions, one)
	}
	req.Topics = append(req.Topics, topic)
	res, _, err := ask[*kmsg.ListOffsetsResponse](ctx, c, leader, req, nil)
	if err != nil {
		return nil, err
	}
	found := map[int32]int64{}
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, &partitionError{p.Partition, err}
			}
			found[p.Partition] = p.Offset
		}
	}
	return found, nil
}

func (c *client) isolation() int8 {
	if c.committed {
		return 1
	}
	return 0
}

// maxOffset is behind all offsets.
const maxOffset int64 = math.MaxInt64

// epochEnd asks a partition's leader for the offset at which a leader epoch ends in its log: behind the last record of
// that epoch or an earlier one. It is maxOffset where the leader does not know.
func (c *client) epochEnd(ctx context.Context, of placement, epoch int32) (int64, error) {
	if of.leader == noLeader {
		return 0, &partitionError{of.partition, errNoLeader}
	}
	ctx, cancel := context.WithTimeout(ctx, kafkaconn.Patience)
	defer cancel()
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.Version = epochVersion
	req.ReplicaID = -1 // a consumer
	one := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	one.Partition, one.CurrentLeaderEpoch, one.LeaderEpoch = of.partition, of.epoch, epoch
	topic := kmsg.NewOffsetForLeaderEpochRequestTopic()
	topic.Topic, topic.Partitions = c.topic, append(topic.Partitions, one)
	req.Topics = append(req.Topics, topic)
	res, _, err := ask[*kmsg.OffsetForLeaderEpochResponse](ctx, c, of.leader, req, nil)
	if err != nil {
		return 0, err
	}
	for _, t := range res.Topics {
		for _, p := range t.Partitions {
			switch err := kerr.ErrorForCode(p.ErrorCode); {
			case p.Partition != of.partition:
			case err != nil:
				return 0, &partitionError{p.Partition, err}
			case p.EndOffset < 0:
				return maxOffset, nil
			default:
				return p.EndOffset, nil
			}
		}
	}
	return 0, &partitionError{of.partition, errNotAnswered}
}
