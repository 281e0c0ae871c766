package payment

import (
	"errors"
	"math"
	"math/bits"
	"strconv"
)

// The bounds on a number's text keep its value between 1e-300 and 1e300 (or zero), so that its
// double is finite and not subnormal, and the arithmetic within some hundred bytes. 100 characters
// hold what a Decimal or BigDecimal prints that was made from a double of cents.
const (
	maxNumberBytes = 100
	maxExponent    = 200
)

var (
	errNumberLength   = errors.New("number of more than 100 characters")
	errNumberExponent = errors.New("number with an exponent beyond 200")
)

// decimal is an exact number. Its digits are those of its text from the first that is not zero on;
// zero has none.
type decimal struct {
	negative bool
	digits   int
	zeros    int    // how many of the digits are trailing zeros
	exp      int    // the power of ten of the last digit
	lead     uint64 // the first 19 digits, or all if there are fewer

	// |d| is mantissa × 10^mantissaExp. The mantissa is part of the text that was parsed.
	mantissa    []byte
	mantissaExp int
}

// maxLead is how many digits a uint64 holds, whatever they are.
const maxLead = 19

var powersOfTen = [...]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// parseDecimal reads a valid JSON number. The decimal borrows the text.
func parseDecimal(number []byte) (d decimal, err error) {
	if len(number) > maxNumberBytes {
		return d, errNumberLength
	}
	if number[0] == '-' {
		d.negative = true
		number = number[1:]
	}
	d.mantissa = number
	fraction := 0
	for i, c := range number {
		switch c {
		case '.':
			fraction = 1
			continue
		case 'e', 'E':
			d.mantissa = number[:i]
			d.mantissaExp, err = strconv.Atoi(string(number[i+1:]))
			if err != nil || d.mantissaExp > maxExponent || d.mantissaExp < -maxExponent {
				return d, errNumberExponent
			}
			d.exp += d.mantissaExp
			return d, nil
		}
		d.exp -= fraction
		d.addDigit(uint64(c - '0'))
	}
	return d, nil
}

// parsePlain reads a number as most are: one that begins with a digit other than 0, has no exponent and no more
// digits than a uint64 holds. Of any other text it reports false. The decimal borrows the text.
func (d *decimal) parsePlain(text []byte) bool {
	if len(text) == 0 || len(text) > maxLead || text[0] == '0' {
		return false
	}
	lead, zeros, point := uint64(0), 0, len(text)
	for i, c := range text {
		switch digit := c - '0'; {
		case digit == 0:
			zeros++
			lead *= 10
		case digit <= 9:
			zeros = 0
			lead = lead*10 + uint64(digit)
		case c == '.' && 0 < i && i < len(text)-1 && point == len(text):
			point = i
		default:
			return false
		}
	}
	*d = decimal{digits: len(text), zeros: zeros, lead: lead, mantissa: text}
	if point < len(text) {
		d.digits--
		d.exp = point + 1 - len(text)
	}
	return true
}

func (d *decimal) addDigit(digit uint64) {
	switch {
	case digit != 0:
		d.zeros = 0
	case d.digits > 0:
		d.zeros++
	default:
		return
	}
	if d.digits < maxLead {
		d.lead = d.lead*10 + digit
	}
	d.digits++
}

// shift multiplies d by 10^by.
func (d *decimal) shift(by int) {
	d.exp += by
	d.mantissaExp += by
}

func (d *decimal) isZero() bool { return d.digits == 0 }

// whole reports whether d has no fraction, by value: 1.50e1 has none.
func (d *decimal) whole() bool { return d.isZero() || d.exp+d.zeros >= 0 }

// atLeast reports whether |d| is 10^power or more.
func (d *decimal) atLeast(power int) bool { return !d.isZero() && d.exp+d.digits > power }

// floor is |d| without its fraction; not ok if that is more than an int64 holds.
func (d *decimal) floor() (n int64, ok bool) {
	if d.isZero() || !d.atLeast(0) {
		return 0, true
	}
	if d.atLeast(maxLead) {
		return 0, false
	}
	// Now lead is at most 18 powers of ten away from the unit, in either direction.
	exp := d.exp + max(0, d.digits-maxLead)
	if exp < 0 {
		n := d.lead / powersOfTen[-exp]
		return int64(n), n <= math.MaxInt64
	}
	high, low := bits.Mul64(d.lead, powersOfTen[exp])
	return int64(low), high == 0 && low <= math.MaxInt64
}

// float is the double nearest to |d|.
func (d *decimal) float() float64 {
	// Both operands are exact doubles, so the quotient is rounded once, and to the nearest.
	if d.lead < 1<<53 && d.digits <= maxLead {
		switch {
		case d.exp == 0 || d.isZero():
			return float64(d.lead)
		case -len(powersOfTen) < d.exp && d.exp < 0:
			return float64(d.lead) / float64(powersOfTen[-d.exp])
		}
	}
	var buf [maxNumberBytes + 8]byte
	text := append(append(buf[:0], d.mantissa...), 'e')
	text = strconv.AppendInt(text, int64(d.mantissaExp), 10)
	f, _ := strconv.ParseFloat(string(text), 64)
	return f
}
