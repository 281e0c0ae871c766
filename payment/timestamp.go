package payment

import (
	"bytes"
	"time"
)

// maxSeconds is the last second of the year 9999, beyond which RFC 3339 and protobuf have no time.
const maxSeconds = 253402300799

// timestamp reads a payment's own time in Unix seconds, rounded down. The field holds Unix seconds
// or, from 1e11 on, milliseconds, as a number or as a string; or RFC 3339 as time.Parse knows it.
// It reports false where there is none that makes sense: one of another type or form, one before
// 1970 or in its first second, one beyond the year 9999.
func timestamp(o *object, raw rawValue) (seconds int64, ok bool) {
	if number, isNumber := o.number(raw); isNumber {
		d, err := parseDecimal(number)
		if err != nil || d.negative {
			return 0, false
		}
		if d.atLeast(11) {
			d.shift(-3)
		}
		seconds, _ = d.floor()
	} else if seconds, ok = rfc3339(o.text(raw)); !ok {
		return 0, false
	}
	return seconds, seconds > 0 && seconds <= maxSeconds
}

func rfc3339(text []byte) (seconds int64, ok bool) {
	if bytes.ContainsAny(text, "tz") { // RFC 3339 allows them, time.Parse does not
		text = bytes.ToUpper(text)
	}
	t, err := time.Parse(time.RFC3339, string(text))
	return t.Unix(), err == nil
}

// floorSeconds turns Unix milliseconds into seconds, rounded down also before 1970.
func floorSeconds(millis int64) int64 {
	seconds := millis / 1000
	if millis%1000 < 0 {
		seconds--
	}
	return seconds
}
