package scaling

import (
	"fmt"
	"strings"

	"paystream/bench/report"
)

// Tables returns the page's tables by name, as Markdown.
func Tables(r *report.Results) (map[string]string, error) {
	c, err := CostsOf(r)
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"source":    source(r),
		"costs":     c.costs(),
		"protocols": c.protocols(),
		"growth":    c.growth(),
		"core":      c.cores(),
		"machine":   c.machine(),
		"machines":  c.machines(),
		"ingest":    c.ingest(),
		"share":     c.share(),
		"plan":      c.plan(),
		"network":   c.network(),
		"memory":    c.memory(),
		"retention": c.retention(),
		"window":    c.window(),
		"start":     c.start(),
	}, nil
}

// sizes are the machines that are looked at, in cores.
func sizes() []float64 { return []float64{1, 2, 4, 8} }

func (c Costs) paces() []Pace { return []Pace{c.Single, c.Fives, c.CatchUp} }

func source(r *report.Results) string {
	m := r.Machine
	text := fmt.Sprintf("Measured at %s with %s on %s, %d cores, Kafka %s, %s; medians of %d rounds.\n",
		m.Commit, m.Go, m.CPU, m.Cores, m.Kafka, m.Date.Format("2006-01-02"), r.Rounds)
	if r.Quick {
		text = "**These are of a quick run: they show how the tables look, and say little.**\n\n" + text
	}
	return text
}

func (c Costs) costs() string {
	t := table{{"payments come", "CPU per delivery, `d`", "CPU per payment ingested, `i`", "`i / d`", "from the workload"}}
	from := []string{
		"latency: 1,000 subscribers, 20 payments a second",
		"paced: 200 subscribers, 500 a second",
		"saturated: 100 subscribers on a filled log; ingest",
	}
	for i, p := range c.paces() {
		t.add(p.Name, seconds(p.DeliveryCPUSeconds), seconds(p.IngestCPUSeconds), count(p.EvenSubscribers()), from[i])
	}
	return t.markdown() + fmt.Sprintf("\nA payment looked at for a filter, delivered or not, is %s (of a filled log). With 50 partitions, "+
		"ingest of a filled topic is %s a payment; with 3, %s.\n",
		seconds(c.ExaminedCPUSeconds), seconds(c.IngestManyPartitionsCPUSeconds), seconds(c.CatchUp.IngestCPUSeconds))
}

func (c Costs) protocols() string {
	t := table{{"catching up over", "CPU per delivery", "deliveries per core and second", "bytes of a message"}}
	for _, p := range c.Protocols {
		t.add(p.Name, seconds(p.DeliveryCPUSeconds), count(1/p.DeliveryCPUSeconds), size(p.MessageBytes))
	}
	return t.markdown()
}

func (c Costs) growth() string {
	t := table{{"subscribers", "CPU per delivery"}}
	for _, g := range c.Growth {
		t.add(count(g.Subscribers), seconds(g.DeliveryCPUSeconds))
	}
	return t.markdown()
}

func (c Costs) cores() string {
	t := table{{"deliveries a second", "1 core", "2 cores", "4 cores", "8 cores"}}
	for _, p := range c.paces() {
		row := []string{p.Name}
		for _, cores := range sizes() {
			row = append(row, count(p.Deliveries(cores)))
		}
		t.add(row...)
	}
	return t.markdown()
}

func (c Costs) machine() string {
	t := table{{"payments a second", "they come", "1 core", "2 cores", "4 cores", "8 cores"}}
	for _, row := range []struct {
		pace      Pace
		perSecond []float64
	}{
		{c.Single, []float64{1, 20, 100, 500}}, {c.Fives, []float64{100, 500, 2000, 10_000}}, {c.CatchUp, []float64{10_000, 50_000}},
	} {
		for _, perSecond := range row.perSecond {
			cells := []string{count(perSecond), row.pace.Name}
			for _, cores := range sizes() {
				n := row.pace.Subscribers(cores, perSecond)
				cells = append(cells, bracket(count(n), n))
			}
			t.add(cells...)
		}
	}
	return t.markdown() + fmt.Sprintf("\nOf 1,000 subscribers, half have a payment that comes alone %s after the first has it, and 99 of 100 after %s.\n",
		seconds(c.HalfSeconds), seconds(c.NearlyAllSeconds))
}

// bracket marks what rests on more subscribers at a gateway than were measured.
func bracket(text string, subscribers float64) string {
	if subscribers > mostSubscribers {
		return "(" + text + ")"
	}
	return text
}

func (c Costs) machines() string {
	t := table{{
		"payments a second", "they come", "subscribers", "gateways of 2 cores", "of 4", "of 8",
		"ingest's share (2 cores)", "network in all",
	}}
	for _, row := range []struct {
		pace      Pace
		perSecond float64
	}{{c.Single, 20}, {c.Fives, 500}} {
		for _, subscribers := range []float64{1000, 10_000, 100_000, 1_000_000} {
			p, perSecond := row.pace, row.perSecond
			wire := WireBytes(c.Protocols[0].MessageBytes, p.Batch)
			cells := []string{count(perSecond), p.Name, count(subscribers)}
			for _, cores := range sizes()[1:] {
				n := p.Gateways(cores, perSecond, subscribers)
				cells = append(cells, bracket(gateways(n), subscribers/n))
			}
			t.add(append(cells, percent(p.IngestShare(p.Gateways(2, perSecond, subscribers), subscribers)),
				gigabits(GigabitsPerSecond(perSecond*subscribers, wire)))...)
		}
	}
	return t.markdown()
}

func (c Costs) ingest() string {
	t := table{{"payments a second", "1 gateway", "3", "10", "30", "100"}}
	for _, perSecond := range []float64{500, 2000, 10_000, 50_000, 200_000} {
		row := []string{count(perSecond)}
		least, most := c.IngestRange(perSecond)
		for _, n := range []float64{1, 3, 10, 30, 100} {
			row = append(row, span(n*least, n*most, count))
		}
		t.add(row...)
	}
	return t.markdown()
}

func (c Costs) share() string {
	t := table{{"subscribers in all", "1 gateway", "3", "10", "30", "100"}}
	for _, subscribers := range []float64{100, 1000, 10_000, 100_000} {
		row := []string{count(subscribers)}
		for _, n := range []float64{1, 3, 10, 30, 100} {
			row = append(row, percent(c.Fives.IngestShare(n, subscribers)))
		}
		t.add(row...)
	}
	return t.markdown()
}

func (c Costs) plan() string {
	t := table{{"payments a second", "2 cores", "4 cores", "8 cores"}}
	for _, perSecond := range []float64{500, 2000, 10_000, 50_000, 200_000} {
		row := []string{count(perSecond)}
		least, most := c.IngestRange(perSecond)
		for _, cores := range sizes()[1:] {
			row = append(row, span(least/(cores*Headroom), most/(cores*Headroom), percent))
		}
		t.add(row...)
	}
	return t.markdown()
}

func (c Costs) network() string {
	t := table{{
		"payments come", "bytes on the wire per delivery", "1 Gbit/s: deliveries a second", "cores that fill it",
		"10 Gbit/s: deliveries a second", "cores that fill it",
	}}
	for _, p := range c.paces() {
		wire := WireBytes(c.Protocols[0].MessageBytes, p.Batch)
		row := []string{p.Name, size(wire)}
		for _, gigabits := range []float64{1, 10} {
			deliveries := gigabits / GigabitsPerSecond(1, wire)
			row = append(row, count(deliveries), count(p.FanOutCores(1, deliveries)))
		}
		t.add(row...)
	}
	return t.markdown()
}

func (c Costs) memory() string {
	t := table{{"a subscriber that waits", "heap and stacks", "RSS", "1,000 subscribers", "10,000", "50,000"}}
	for _, l := range c.Layouts {
		t.add(l.Name, size(l.HeapBytes), size(l.RSSBytes), size(1000*l.RSSBytes), size(10_000*l.RSSBytes), size(50_000*l.RSSBytes))
	}
	return t.markdown()
}

func (c Costs) retention() string {
	t := table{{"RETAIN_PAYMENTS", "memory for them", "RETAIN_BYTES, at least"}}
	for _, n := range []float64{10_000, 100_000, 1_000_000, 10_000_000} {
		t.add(count(n), size(n*c.RetainedBytes), size(RetainBytes(n, c.RetainedBytes)))
	}
	return t.markdown() + fmt.Sprintf("\nThe bench's payments are %s encoded, and %s in memory.\n", size(c.RecordBytes), size(c.RetainedBytes))
}

func (c Costs) window() string {
	t := table{{"payments a second", "window of 100,000 payments", "of 1,000,000", "RETAIN_PAYMENTS for 10 minutes", "memory", "for an hour", "memory"}}
	for _, perSecond := range []float64{20, 500, 2000, 10_000} {
		t.add(count(perSecond), seconds(100_000/perSecond), seconds(1_000_000/perSecond),
			count(600*perSecond), size(600*perSecond*c.RetainedBytes),
			count(3600*perSecond), size(3600*perSecond*c.RetainedBytes))
	}
	return t.markdown()
}

func (c Costs) start() string {
	return fmt.Sprintf("From the start of the process, with %s payments on Kafka to read, to the first event at a subscriber: %s, and %s "+
		"of CPU, %s a payment.\n",
		count(c.StartPayments), seconds(c.StartSeconds), seconds(c.StartCPUSeconds), seconds(c.StartCPUSeconds/c.StartPayments))
}

// table is cells, the titles first.
type table [][]string

func (t *table) add(cells ...string) { *t = append(*t, cells) }

// markdown writes numbers to the right.
func (t *table) markdown() string {
	var b strings.Builder
	for i, row := range *t {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|---" + strings.Repeat("|---:", len(row)-1) + "|\n")
		}
	}
	return b.String()
}
