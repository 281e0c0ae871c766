package scaling

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// count writes a number with two digits that count, and commas.
func count(v float64) string {
	v = round(v)
	if v != 0 && math.Abs(v) < 10 {
		decimals := 1 - int(math.Floor(math.Log10(math.Abs(v))))
		return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(v, 'f', decimals, 64), "0"), ".")
	}
	digits := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// gateways is a count that there are always some of; none is enough where reading alone is too much.
func gateways(v float64) string {
	if math.IsInf(v, 0) {
		return "–"
	}
	return count(v)
}

func seconds(v float64) string {
	switch {
	case v >= 2*3600:
		return count(v/3600) + " h"
	case v >= 120:
		return count(v/60) + " min"
	case v >= 1:
		return count(v) + " s"
	case v >= 1e-3:
		return count(v*1e3) + " ms"
	}
	return count(v*1e6) + " µs"
}

func size(bytes float64) string {
	for _, unit := range []struct {
		bytes float64
		name  string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if round(bytes/unit.bytes) >= 1 {
			return count(bytes/unit.bytes) + " " + unit.name
		}
	}
	return count(bytes) + " B"
}

// percent says no more than that all is too little.
func percent(share float64) string {
	if share > 1 {
		return "> 100 %"
	}
	return count(share*100) + " %"
}

func gigabits(v float64) string {
	if v < 1 {
		return count(v*1e3) + " Mbit/s"
	}
	return count(v) + " Gbit/s"
}

// span writes from the lesser to the greater, and a unit that both have once.
func span(a, b float64, text func(float64) string) string {
	from, to := text(min(a, b)), text(max(a, b))
	if from == to {
		return to
	}
	number, unit, ok := strings.Cut(from, " ")
	if ok && strings.HasSuffix(to, " "+unit) {
		from = number
	}
	return fmt.Sprintf("%s–%s", from, to)
}
