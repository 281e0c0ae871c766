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
	if raw.isString() {
		if seconds, ok = plainTime(o.text(raw)); ok {
			return seconds, seconds > 0 // there are four digits for the year
		}
	}
	var d decimal
	if isNumber, err := o.number(raw, &d); isNumber {
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

// plainTime reads a time as 2006-01-02T15:04:05Z, but for the last days of a month: whether there are such is not
// looked at. It takes a third of what time.Parse does.
func plainTime(text []byte) (seconds int64, ok bool) {
	if len(text) != len("2006-01-02T15:04:05Z") || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
		text[13] != ':' || text[16] != ':' || text[19] != 'Z' {
		return 0, false
	}
	wrong := false
	two := func(at int) int64 {
		tens, units := text[at]-'0', text[at+1]-'0'
		wrong = wrong || tens > 9 || units > 9
		return int64(tens)*10 + int64(units)
	}
	year, month, day := two(0)*100+two(2), two(5), two(8)
	hour, minute, second := two(11), two(14), two(17)
	if wrong || year < 1 || month < 1 || month > 12 || day < 1 || day > 28 || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	if month -= 3; month < 0 { // a year that begins in March has its leap day at its end
		month += 12
		year--
	}
	days := year*365 + year/4 - year/100 + year/400 + (153*month+2)/5 + day - 719469
	return days*86400 + hour*3600 + minute*60 + second, true
}

// floorSeconds turns Unix milliseconds into seconds, rounded down also before 1970.
func floorSeconds(millis int64) int64 {
	seconds := millis / 1000
	if millis%1000 < 0 {
		seconds--
	}
	return seconds
}
