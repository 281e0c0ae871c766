// Package scaling computes, from the figures of one bench, what gateways carry: the tables of
// docs/SCALING.md. It multiplies and divides, and models nothing that was not measured: that more cores
// carry as much more, and more subscribers than 5,000 cost what 5,000 do, is for the page to say.
//
// It is pure but for [Read] and [Update]: the same results give the same tables. Names end in their units where there are any.
package scaling

import "math"

// Headroom is the share of a machine's CPU that plans count on. The rest is for bursts, subscribers that
// catch up, garbage collection at a bad moment, and the gateway next door being restarted.
const Headroom = 0.5

// IngestCores is what reading so many payments a second takes, in every gateway.
func (p Pace) IngestCores(perSecond float64) float64 { return perSecond * p.IngestCPUSeconds }

// IngestRange is what one gateway reads so many payments a second with: at least what they cost when many
// come in each fetch, at most what they cost five at a time. One goroutine reads all that one broker leads,
// so that it is no more than a core for each such broker; this is for one.
func (c Costs) IngestRange(perSecond float64) (least, most float64) {
	least = c.CatchUp.IngestCores(perSecond)
	return least, max(least, min(1, c.Fives.IngestCores(perSecond)))
}

// FanOutCores is what sending them to the subscribers takes, of all gateways together.
func (p Pace) FanOutCores(perSecond, subscribers float64) float64 {
	return perSecond * subscribers * p.DeliveryCPUSeconds
}

// Deliveries is how many a second some cores carry, reading left out.
func (p Pace) Deliveries(cores float64) float64 { return cores * Headroom / p.DeliveryCPUSeconds }

// Subscribers is how many of everything one gateway carries: what its cores have left beside reading.
func (p Pace) Subscribers(cores, perSecond float64) float64 {
	left := max(0, cores*Headroom-p.IngestCores(perSecond))
	return math.Floor(left / p.FanOutCores(perSecond, 1))
}

// Gateways is how many of so many cores carry the subscribers; +Inf where reading takes all of each.
func (p Pace) Gateways(cores, perSecond, subscribers float64) float64 {
	return math.Ceil(subscribers / p.Subscribers(cores, perSecond))
}

// IngestShare is the part of all CPU that goes into reading. Payments a second are in both halves, and cancel.
func (p Pace) IngestShare(gateways, subscribers float64) float64 {
	ingest := gateways * p.IngestCores(1)
	return ingest / (ingest + p.FanOutCores(1, subscribers))
}

// EvenSubscribers is how many at one gateway cost as much as reading does.
func (p Pace) EvenSubscribers() float64 { return p.IngestCPUSeconds / p.DeliveryCPUSeconds }

// What the standards put around a message. Acknowledgements go the other way, TLS would add some 22 bytes a write.
const (
	envelopeBytes = 5              // gRPC's, each message
	dataBytes     = 9              // HTTP/2's frame header, each write
	packetBytes   = 20 + 20 + 12 + // IPv4, TCP, its time stamps
		14 + 4 + 8 + 12 // Ethernet: header, checksum, preamble, gap
	segmentBytes = 1500 - 20 - 20 - 12
)

// WireBytes is what a gRPC delivery takes of an Ethernet, with so many in one write.
func WireBytes(messageBytes, batch float64) float64 {
	bytes := batch*(messageBytes+envelopeBytes) + dataBytes
	return (bytes + math.Ceil(bytes/segmentBytes)*packetBytes) / batch
}

// GigabitsPerSecond is what so many deliveries a second take of the network.
func GigabitsPerSecond(deliveriesPerSecond, wireBytes float64) float64 {
	return deliveriesPerSecond * wireBytes * 8 / 1e9
}

// What of RETAIN_BYTES is not for payments: frames, and one in nine that stays readable for those who come back.
const (
	maxFrameBytes = 16 << 20
	graceShare    = 1.0 / 9
)

// RetainBytes is the least RETAIN_BYTES under which so many payments are kept, each taking retainedBytes.
func RetainBytes(payments, retainedBytes float64) float64 {
	bytes := payments * retainedBytes / (1 - graceShare)
	return bytes + min(maxFrameBytes, bytes/3) // a quarter of the whole
}
