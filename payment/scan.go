package payment

import (
	"encoding/binary"
	"math/bits"
)

// The scanner of JSON. Each function takes a text and the index to begin at, and returns the index behind what
// it has read, or malformed. They accept what encoding/json does, nothing more and nothing less: FuzzScan.
//
// It is ours because decoding is what ingest spends most CPU on: with jx in its place, which is as strict, Append
// takes one and a half times as long.

// malformed is the index behind what is no JSON. It is past the end of any text.
const malformed = -1

// maxDepth is how deep objects and arrays may be nested in one another.
const maxDepth = 10000

// space passes over white space. It never fails.
func space(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// name reads a member's name, its colon and the white space around that; end is behind the name itself.
func name(b []byte, i int) (end, next int) {
	if i >= len(b) || b[i] != '"' {
		return malformed, malformed
	}
	if end = str(b, i); end == malformed {
		return malformed, malformed
	}
	if i = space(b, end); i >= len(b) || b[i] != ':' {
		return malformed, malformed
	}
	return end, space(b, i+1)
}

// open reads the bracket that an object or array begins with; more reports whether anything is in it.
func open(b []byte, i int, closing byte) (next int, more bool) {
	if i = space(b, i+1); i < len(b) && b[i] == closing {
		return i + 1, false
	}
	return i, true
}

// separator reads what follows a member or an element: a comma, then more is true, or the closing bracket.
func separator(b []byte, i int, closing byte) (next int, more bool) {
	i = space(b, i)
	switch {
	case i >= len(b):
		return malformed, false
	case b[i] == ',':
		return space(b, i+1), true
	case b[i] == closing:
		return i + 1, false
	}
	return malformed, false
}

// value reads any value, which begins at i, inside of so many others.
func value(b []byte, i, depth int) int {
	if i >= len(b) {
		return malformed
	}
	switch c := b[i]; {
	case c == '"':
		return str(b, i)
	case c == '{', c == '[':
		return nested(b, i, depth+1)
	case c == '-', '0' <= c && c <= '9':
		return number(b, i)
	case c == 't':
		return literal(b, i, "true")
	case c == 'f':
		return literal(b, i, "false")
	case c == 'n':
		return literal(b, i, "null")
	}
	return malformed
}

func nested(b []byte, i, depth int) int {
	if depth > maxDepth {
		return malformed
	}
	object, closing := b[i] == '{', b[i]+2 // of both brackets, in ASCII
	i, more := open(b, i, closing)
	for more {
		if object {
			if _, i = name(b, i); i == malformed {
				return malformed
			}
		}
		if i = value(b, i, depth); i == malformed {
			return malformed
		}
		i, more = separator(b, i, closing)
	}
	return i
}

func literal(b []byte, i int, text string) int {
	if end := i + len(text); end <= len(b) && string(b[i:end]) == text {
		return end
	}
	return malformed
}

// str reads a string. Whether its bytes are UTF-8 is for others to know.
func str(b []byte, i int) int {
	for i++; i+8 <= len(b); i += 8 {
		if found := specials(binary.LittleEndian.Uint64(b[i:])); found != 0 {
			i += bits.TrailingZeros64(found) / 8
			if b[i] == '"' {
				return i + 1
			}
			return restOfStr(b, i)
		}
	}
	return restOfStr(b, i)
}

// restOfStr reads on inside of a string, at the end of the text or where an escape is.
func restOfStr(b []byte, i int) int {
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < ' ':
			return malformed
		case c == '\\':
			if i = escape(b, i+1); i == malformed {
				return malformed
			}
		}
	}
	return malformed
}

// specials sets the highest bit of the first byte, from the lowest on, that does not stand for itself in a
// string: a quote, a backslash, a control character. Bits above that may be set too.
func specials(eight uint64) uint64 {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	quote, backslash := eight^ones*'"', eight^ones*'\\'
	// A byte minus 1 borrows into its highest bit only if it was 0; minus ' ', only if it was less.
	return ((eight-ones*' ')&^eight | (quote-ones)&^quote | (backslash-ones)&^backslash) & tops
}

// escape reads an escape from behind its backslash, and returns the index of its last byte.
func escape(b []byte, i int) int {
	if i >= len(b) {
		return malformed
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i
	case 'u':
		if i+4 >= len(b) {
			return malformed
		}
		for _, c := range b[i+1 : i+5] {
			if !isHex(c) {
				return malformed
			}
		}
		return i + 4
	}
	return malformed
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func number(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	whole := i
	if i = digits(b, i); i == malformed || b[whole] == '0' && i > whole+1 {
		return malformed
	}
	if i < len(b) && b[i] == '.' {
		if i = digits(b, i+1); i == malformed {
			return malformed
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return digits(b, i)
	}
	return i
}

// digits reads one or more.
func digits(b []byte, i int) int {
	from := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	if i == from {
		return malformed
	}
	return i
}
