package workload

import "paystream/bench/report"

// ratio is a claim on how a subject's figure compares with another's.
func ratio(text, workload, of, by string, m report.Metric, limit float64) report.Claim {
	return report.Claim{Text: text, Limit: limit, Value: func(r *report.Results) report.Spread {
		return r.Ratio(workload, of, by, m)
	}}
}

// value is a claim on a figure itself.
func value(text, workload, of string, m report.Metric, limit float64) report.Claim {
	return report.Claim{Text: text, Limit: limit, Metric: m, Value: func(r *report.Results) report.Spread {
		return r.Spread(workload, of, m)
	}}
}

// above is a claim on what a subject's figure is above another's.
func above(text, workload, of, by string, m report.Metric, limit float64) report.Claim {
	return report.Claim{Text: text, Limit: limit, Metric: m, Value: func(r *report.Results) report.Spread {
		return r.Difference(workload, of, by, m)
	}}
}

func atLeast(c report.Claim) report.Claim {
	c.AtLeast = true
	return c
}

// Claims are the figures that paystream is held to.
func Claims() []report.Claim {
	const kb = 1 << 10
	h2, h2many, h1 := layouts[0].name, layouts[1].name, layouts[2].name
	return []report.Claim{
		atLeast(ratio("Saturated, gRPC: at least 12 times grpc-go", "saturated", paystreamGRPC, grpcGo, report.PerCPU, 12)),
		atLeast(ratio("Saturated, gRPC: at least 60 times naive connect-go", "saturated", paystreamGRPC, naiveConnect, report.PerCPU, 60)),
		atLeast(ratio("Saturated, gRPC: at least half of bare TCP", "saturated", paystreamGRPC, bareTCP, report.PerCPU, 0.5)),
		atLeast(ratio("Saturated, gRPC-Web: at least 0.85 of gRPC", "saturated", paystreamWeb, paystreamGRPC, report.PerCPU, 0.85)),
		atLeast(ratio("Saturated, Connect JSON: at least 10 times grpc-go", "saturated", paystreamJSON, grpcGo, report.PerCPU, 10)),
		atLeast(ratio("Saturated, SSE: at least 10 times grpc-go", "saturated", paystreamSSE, grpcGo, report.PerCPU, 10)),
		atLeast(ratio("Saturated, NDJSON: at least 10 times grpc-go", "saturated", paystreamNDJSON, grpcGo, report.PerCPU, 10)),
		atLeast(ratio("Saturated, TLS: at least half of cleartext", "saturated", paystreamTLS, paystreamGRPC, report.PerCPU, 0.5)),
		ratio("Paced: fan-out at most 1.4 times bare TCP's CPU", "paced", paystreamGRPC, bareTCP, report.FanOutCores, 1.4),
		ratio("Paced: in total at most 1.4 times bare TCP's CPU", "paced", paystreamGRPC, bareTCP, report.ServerCores, 1.4),
		ratio("Paced: in total less than grpc-go's CPU", "paced", paystreamGRPC, grpcGo, report.ServerCores, 1),
		ratio("Growth: CPU per delivery at 5,000 subscribers at most 1.3 times that at 100", "growth",
			grown("paystream", 5000), grown("paystream", 100), report.CPUPer, 1.3),
		ratio("Filtered by provider: a payment examined costs no more than an unfiltered delivery", "filtered",
			byProvider, unfiltered, report.CPUPerExamined, 1),
		ratio("Filtered by provider and status: likewise", "filtered", byBoth, unfiltered, report.CPUPerExamined, 1),
		ratio("Slow: the others' CPU per delivery within 10 %", "slow", someStalled, noneStalled, report.CPUPer, 1.1),
		ratio("Slow: the others' p99 within 25 %", "slow", someStalled, noneStalled, report.P99, 1.25),
		atLeast(value("Backfill: at least 100,000 payments a second for one reader", "backfill", oneReturns, report.PerSecond, 1e5)),
		value("Backfill of 500: no more is read from Kafka than 4 readers need", "backfill", manyReturn, report.FromKafka, 4*20_000),
		ratio("Catching up: the others' p99 within 1.5 times", "catchup", oneOfThemDoes, nobodyReturns, report.P99, 1.5),
		atLeast(value("Snapshot: at least 5 million payments per CPU second", "snapshot", paystreamGRPC, report.PerCPU, 5e6)),
		ratio("Append: at p99.9 no more with a snapshot being taken", "append", appendSnapshot, appendOther, report.AppendP999, 1),
		above("Idle, HTTP/2: at most 3 KiB above the bare handler", "idle",
			waiting(waitPaystream, h2), waiting(waitTuned, h2), report.MemoryPer, 3*kb),
		above("Idle, HTTP/1.1: at most 3 KiB above the bare handler", "idle",
			waiting(waitPaystream, h1), waiting(waitTuned, h1), report.MemoryPer, 3*kb),
		value("Idle, 100 streams a connection: at most 15 KiB", "idle", waiting(waitPaystream, h2many), report.MemoryPer, 15*kb),
		ratio("Idle, HTTP/2: the tuned bare handler at most 0.7 of the untuned", "idle",
			waiting(waitTuned, h2), waiting(waitUntuned, h2), report.MemoryPer, 0.7),
		ratio("Idle, HTTP/1.1: the tuned bare handler at most 0.7 of the untuned", "idle",
			waiting(waitTuned, h1), waiting(waitUntuned, h1), report.MemoryPer, 0.7),
		atLeast(ratio("Ingest: at least what kafka.Reader counts, 3 partitions", "ingest", ingest3, reader3, report.RecordsPerCPU, 1)),
		atLeast(ratio("Ingest: 50 partitions within 20 % of 3", "ingest", ingest50, ingest3, report.RecordsPerCPU, 0.8)),
		ratio("Decode: at most a quarter of encoding/json's CPU", "decode", decodeOurs, encodingJSON, report.CPUPerRecord, 0.25),
		ratio("Latency: fan-out p99 at 1,000 at most 1.5 times bare TCP's", "latency", paystreamGRPC, bareTCP, report.SpreadP99, 1.5),
		value("Retained: at most 120 bytes beyond the encoded payment", "retained", waitPaystream, report.OverheadPer, 120),
		value("Retained, after half as many have left: likewise", "retained", retainedMoving, report.OverheadPer, 120),
		value("Start: first event within 1.5 s", "start", waitPaystream, report.FirstEvent, 1.5),
		value("Kafka: p50 at most 0.3 ms above the bare consumer's", "kafka", paystreamGRPC, report.AddedP50, 0.3e-3),
		value("Kafka: p99 at most 1 ms above the bare consumer's", "kafka", paystreamGRPC, report.AddedP99, 1e-3),
	}
}
