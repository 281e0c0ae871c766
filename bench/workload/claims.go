package workload

import "paystream/bench/report"

// Claims are the figures that paystream is held to.
func Claims() []report.Claim {
	perCPU := func(text, of, by string, limit float64) report.Claim {
		return report.Claim{Text: text, Limit: limit, AtLeast: true, Value: func(r *report.Results) report.Spread {
			return r.Ratio("saturated", of, by, report.PerCPU)
		}}
	}
	return []report.Claim{
		perCPU("Saturated: at least 12 times grpc-go", paystreamGRPC, grpcGo, 12),
		perCPU("Saturated: at least 60 times naive connect-go", paystreamGRPC, naiveConnect, 60),
		perCPU("Saturated: at least half of bare TCP", paystreamGRPC, bareTCP, 0.5),
	}
}
