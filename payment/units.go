package payment

import "fmt"

// Units says what the number in a record's amount means.
type Units uint8

const (
	// Auto reads a whole number of 100 or more as cents if the currency is USD, EUR or GBP, and
	// anything else as it stands. Whole is meant by value: 100.0 is. It is ambiguous by nature:
	// 99 is ninety-nine dollars, 100 is one.
	Auto Units = iota
	// Minor reads every number as ISO 4217 minor units: 500 JPY is ¥500, 500 KWD is half a dinar.
	// A currency without them is a bad record.
	Minor
	// Major reads every number as it stands.
	Major
)

// ParseUnits reads "auto", "minor" or "major".
func ParseUnits(s string) (Units, error) {
	for _, u := range []Units{Auto, Minor, Major} {
		if s == u.String() {
			return u, nil
		}
	}
	return Auto, fmt.Errorf("unknown amount units %q: want auto, minor or major", s)
}

// String is what ParseUnits reads.
func (u Units) String() string {
	switch u {
	case Auto:
		return "auto"
	case Minor:
		return "minor"
	case Major:
		return "major"
	}
	return fmt.Sprintf("Units(%d)", uint8(u))
}

// toMajor turns the number of a record into major units. It reports false where u asks for minor
// units and the currency has none.
func (u Units) toMajor(amount *decimal, cur currency) bool {
	switch u {
	case Minor:
		if !cur.hasMinor {
			return false
		}
		amount.shift(-cur.digits)
	case Auto:
		switch cur.code {
		case "USD", "EUR", "GBP":
			if amount.whole() && amount.atLeast(2) {
				amount.shift(-2)
			}
		}
	case Major:
	}
	return true
}
