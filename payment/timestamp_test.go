package payment_test

import (
	"testing"

	"paystream/payment"
)

func TestDecodeTimestamp(t *testing.T) {
	const recordSeconds = 1700000099
	for name, tc := range map[string]struct {
		timestamp string
		want      int64
	}{
		"seconds":                            {`1600000000`, 1600000000},
		"seconds with a fraction":            {`1600000000.999`, 1600000000},
		"seconds with an exponent":           {`1.6e9`, 1600000000},
		"the first second":                   {`1`, 1},
		"the last that is seconds":           {`99999999999`, 99999999999},
		"the last, with a fraction":          {`99999999999.9`, 99999999999},
		"1e11 is milliseconds":               {`100000000000`, 100000000},
		"milliseconds":                       {`1600000000999`, 1600000000},
		"milliseconds with a fraction":       {`1600000000999.9`, 1600000000},
		"milliseconds with an exponent":      {`1.6e12`, 1600000000},
		"the last millisecond of year 9999":  {`253402300799999`, 253402300799},
		"beyond the year 9999":               {`253402300800000`, recordSeconds},
		"microseconds are beyond it":         {`1600000000000000`, recordSeconds},
		"nanoseconds are beyond it":          {`1600000000000000000`, recordSeconds},
		"far beyond it":                      {`1e200`, recordSeconds},
		"a number of more than 100 digits":   {`1e201`, recordSeconds},
		"zero":                               {`0`, recordSeconds},
		"minus zero":                         {`-0`, recordSeconds},
		"less than a second":                 {`0.9`, recordSeconds},
		"negative":                           {`-1600000000`, recordSeconds},
		"seconds in a string":                {`"1600000000"`, 1600000000},
		"milliseconds in a string":           {`"1600000000999"`, 1600000000},
		"a number in a string, with a space": {`"1600000000 "`, recordSeconds},
		"RFC 3339":                           {`"2020-09-13T12:26:40Z"`, 1600000000},
		"RFC 3339 with a fraction":           {`"2020-09-13T12:26:40.999999999Z"`, 1600000000},
		"RFC 3339 with an offset":            {`"2020-09-13T17:56:40+05:30"`, 1600000000},
		"RFC 3339 in lower case":             {`"2020-09-13t12:26:40z"`, 1600000000},
		"RFC 3339 with escapes":              {`"2020\u002d09-13T12:26:40Z"`, 1600000000},
		"RFC 3339 before 1970":               {`"1969-12-31T23:59:59Z"`, recordSeconds},
		"RFC 3339 at the epoch":              {`"1970-01-01T00:00:00Z"`, recordSeconds},
		"RFC 3339, the last second":          {`"9999-12-31T23:59:59Z"`, 253402300799},
		"RFC 3339, the year 10000 in UTC":    {`"9999-12-31T23:59:59-01:00"`, recordSeconds},
		"RFC 3339, a day that is none":       {`"2023-02-29T00:00:00Z"`, recordSeconds},
		"RFC 3339 without an offset":         {`"2020-09-13T12:26:40"`, recordSeconds},
		"a date alone":                       {`"2020-09-13"`, recordSeconds},
		"a comma before the fraction":        {`"2020-09-13T12:26:40,5Z"`, 1600000000},
		"a leap second, which Go has not":    {`"2016-12-31T23:59:60Z"`, recordSeconds},
		"a word":                             {`"yesterday"`, recordSeconds},
		"an empty string":                    {`""`, recordSeconds},
		"null":                               {`null`, recordSeconds},
		"a bool":                             {`true`, recordSeconds},
		"an object":                          {`{"seconds":1600000000}`, recordSeconds},
		"missing":                            {``, recordSeconds},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := payment.Decoder{}.Decode([]byte(record("timestamp", tc.timestamp)), recordMillis)
			if err != nil {
				t.Fatal(err)
			}
			if p.GetCreatedAt() != tc.want || p.GetProcessedAt() != recordSeconds {
				t.Errorf("created_at %d, processed_at %d, want %d, %d", p.GetCreatedAt(), p.GetProcessedAt(), tc.want, recordSeconds)
			}
		})
	}
}

func TestDecodeRecordTime(t *testing.T) {
	for millis, want := range map[int64]int64{0: 0, 999: 0, 1000: 1, 1999: 1, -1: -1, -1000: -1, -1001: -2} {
		p, err := payment.Decoder{}.Decode([]byte(record("timestamp", ``)), millis)
		if err != nil || p.GetProcessedAt() != want || p.GetCreatedAt() != want {
			t.Errorf("record time %d ms: processed_at %d, created_at %d, %v, want %d", millis, p.GetProcessedAt(), p.GetCreatedAt(), err, want)
		}
	}
}
