package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"time"
)

// Run is the figures of one subject in one round.
type Run struct {
	Workload string  `json:"workload"`
	Subject  string  `json:"subject"`
	Round    int     `json:"round"`
	Metrics  Metrics `json:"metrics"`
	// Took is how long all of the run took, preparation and checks included.
	Took time.Duration `json:"took_nanoseconds"`
}

// Machine is what a bench ran on.
type Machine struct {
	CPU    string    `json:"cpu"`
	Cores  int       `json:"cores"`
	Memory int64     `json:"memory_bytes"`
	Kernel string    `json:"kernel"`
	Kafka  string    `json:"kafka"`
	Go     string    `json:"go"`
	Commit string    `json:"commit"`
	Date   time.Time `json:"date"`
}

// Results are all runs of a bench.
type Results struct {
	Machine Machine       `json:"machine"`
	Quick   bool          `json:"quick"`
	Rounds  int           `json:"rounds"`
	Took    time.Duration `json:"took_nanoseconds"`
	Runs    []Run         `json:"runs"`
}

// Add adds a run.
func (r *Results) Add(run Run) { r.Runs = append(r.Runs, run) }

// values returns a metric of a subject by round.
func (r *Results) values(workload, subject string, m Metric) map[int]float64 {
	values := map[int]float64{}
	for _, run := range r.Runs {
		if run.Workload == workload && run.Subject == subject {
			if v, ok := run.Metrics[m]; ok && !math.IsNaN(v) && !math.IsInf(v, 0) {
				values[run.Round] = v
			}
		}
	}
	return values
}

// Spread returns the spread of a metric of a subject.
func (r *Results) Spread(workload, subject string, m Metric) Spread {
	return spread(sorted(r.values(workload, subject, m)))
}

// Ratio returns the spread of the ratios of two subjects' metrics, round by round.
func (r *Results) Ratio(workload, of, by string, m Metric) Spread {
	return spread(ratios(r.values(workload, of, m), r.values(workload, by, m)))
}

// Difference returns the spread of what one subject's metric is above another's, round by round.
func (r *Results) Difference(workload, of, by string, m Metric) Spread {
	a, b := r.values(workload, of, m), r.values(workload, by, m)
	var d []float64
	for round, v := range a {
		if less, ok := b[round]; ok {
			d = append(d, v-less)
		}
	}
	return spread(d)
}

// sorted returns the values by round.
func sorted(values map[int]float64) []float64 {
	rounds := make([]int, 0, len(values))
	for round := range values {
		rounds = append(rounds, round)
	}
	slices.Sort(rounds)
	list := make([]float64, len(rounds))
	for i, round := range rounds {
		list[i] = values[round]
	}
	return list
}

// elsewhere returns the greatest share of the machine that others have used during a run.
func (r *Results) elsewhere() float64 {
	most := 0.0
	for _, run := range r.Runs {
		most = max(most, run.Metrics[Elsewhere])
	}
	return most
}

// document is what JSON writes: the runs, and what the tables say of them.
type document struct {
	*Results
	Summary []summary `json:"summary"`
	Claims  []verdict `json:"claims,omitempty"`
}

type summary struct {
	Workload string            `json:"workload"`
	Subject  string            `json:"subject"`
	Metrics  map[Metric]Spread `json:"metrics"`
	// Ratios are to the figures of the subject Against.
	Against string            `json:"against,omitempty"`
	Ratios  map[Metric]Spread `json:"ratios,omitempty"`
}

// JSON writes everything that is known.
func (r *Results) JSON(w io.Writer, tables []Table, claims []Claim) error {
	doc := document{Results: r, Claims: r.verdicts(claims)}
	for _, t := range tables {
		for _, row := range t.Rows {
			s := summary{Workload: t.Name, Subject: row.Subject, Metrics: map[Metric]Spread{}}
			for _, m := range r.metrics(t.Name, row.Subject) {
				s.Metrics[m] = r.Spread(t.Name, row.Subject, m)
			}
			for _, c := range t.Columns {
				if ratio := r.Ratio(t.Name, row.Subject, row.Against, c.Metric); c.Ratio && ratio.Runs > 0 {
					if s.Ratios == nil {
						s.Against, s.Ratios = row.Against, map[Metric]Spread{}
					}
					s.Ratios[c.Metric] = ratio
				}
			}
			doc.Summary = append(doc.Summary, s)
		}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(doc); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}

func (r *Results) metrics(workload, subject string) []Metric {
	var names []Metric
	for _, run := range r.Runs {
		if run.Workload == workload && run.Subject == subject {
			for m := range run.Metrics {
				if !slices.Contains(names, m) && len(r.values(workload, subject, m)) > 0 {
					names = append(names, m)
				}
			}
		}
	}
	slices.Sort(names)
	return names
}

// Compiler is the version of Go that built this program.
func Compiler() string { return runtime.Version() }
