package workload

import (
	"context"

	"paystream/bench/load"
	"paystream/bench/report"
	paymentpb "paystream/gen/payment"
)

const (
	unfiltered    = "no filter, 100 subscribers"
	byProvider    = "a provider each, 100 subscribers"
	byBoth        = "a provider and a status each, 1,000 subscribers"
	pairsPayments = 20_000 // in the log that the last one reads
)

// filtered: each subscriber gets a part of the payments; all of them have to be looked at.
func filtered() Workload {
	of := func(name string, payments, quick int, groups func() []load.Group) Subject {
		return Subject{Name: name, Run: func(ctx context.Context, e *Env) (report.Metrics, error) {
			return e.filteredRun(ctx, e.size(payments, quick), groups())
		}}
	}
	return Workload{
		Table: report.Table{
			Name:  "filtered",
			Title: "Filtered: subscribers take their parts of a filled log, over gRPC",
			Notes: []string{"An examined payment is one that is in the log, for each subscriber, delivered or not."},
			Columns: []report.Column{
				{Metric: report.CPUPerExamined, Title: "CPU per examined payment", Ratio: true},
				{Metric: report.CPUPer, Title: "CPU per delivery"},
				{Metric: report.Deliveries, Title: "deliveries"},
				{Metric: report.Wall, Title: "wall"},
			},
			Reference: unfiltered,
		},
		Subjects: []Subject{
			of(unfiltered, 50_000, 5_000, func() []load.Group { return []load.Group{{Subscribers: 100}} }),
			of(byProvider, 50_000, 5_000, providerGroups),
			of(byBoth, pairsPayments, 2_000, pairGroups),
		},
	}
}

// providerGroups are 100 subscribers.
func providerGroups() []load.Group {
	return []load.Group{
		{Subscribers: 34, Provider: paymentpb.Provider_PROVIDER_STRIPE},
		{Subscribers: 33, Provider: paymentpb.Provider_PROVIDER_RAZORPAY},
		{Subscribers: 33, Provider: paymentpb.Provider_PROVIDER_PAYPAL},
	}
}

// pairGroups are 1,000 subscribers.
func pairGroups() []load.Group {
	var groups []load.Group
	for provider := paymentpb.Provider_PROVIDER_STRIPE; provider <= paymentpb.Provider_PROVIDER_PAYPAL; provider++ {
		for status := paymentpb.PaymentStatus_STATUS_PENDING; status <= paymentpb.PaymentStatus_STATUS_REFUNDED; status++ {
			groups = append(groups, load.Group{Subscribers: 83, Provider: provider, Status: status})
		}
	}
	groups[0].Subscribers += 1000 - 83*len(groups)
	return groups
}

func (e *Env) filteredRun(ctx context.Context, payments int, groups []load.Group) (report.Metrics, error) {
	topic, err := e.filled(ctx, payments)
	if err != nil {
		return nil, err
	}
	s, err := e.gateway(ctx, topic, payments)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	subscribers := 0
	for i := range groups {
		groups[i].To, groups[i].Existing = payments, payments
		subscribers += groups[i].Subscribers
	}
	m, err := e.run(ctx, fanOut{server: s, job: load.Job{
		Protocol: load.GRPC, Topic: topic, Sum: load.SumAll, Gated: true, Groups: groups,
	}})
	if err == nil {
		m[report.CPUPerExamined] = m[report.ServerCPU] / float64(subscribers*payments)
	}
	return m, err
}
