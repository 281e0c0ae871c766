package payment

import (
	"encoding/binary"
	"math/bits"
)

// A plain record is what most programs write: no escapes, and no white space but a space here and there. Its strings
// end at the next quotation mark, whatever is in them. Here such records are read; where one is not so plain after
// all, or bad, reading it begins anew as that of any other.

const (
	ones = 0x0101010101010101
	tops = 0x80 * ones
)

// survey looks at all of a text once. plain reports that there are neither backslashes nor control characters, ascii
// that there is nothing but ASCII.
func survey(b []byte) (plain, ascii bool) {
	var odd, all uint64
	rest := b
	for ; len(rest) >= 32; rest = rest[32:] {
		s := rest[:32]
		w, x := binary.LittleEndian.Uint64(s), binary.LittleEndian.Uint64(s[8:])
		y, z := binary.LittleEndian.Uint64(s[16:]), binary.LittleEndian.Uint64(s[24:])
		all |= w | x | y | z
		odd |= strange(w) | strange(x) | strange(y) | strange(z)
	}
	for ; len(rest) >= 8; rest = rest[8:] {
		eight := binary.LittleEndian.Uint64(rest)
		all |= eight
		odd |= strange(eight)
	}
	for _, c := range rest {
		all |= uint64(c)
		odd |= strange(uint64(c) | (ones-1)*' ')
	}
	return odd&tops == 0, all&tops == 0
}

// strange has a highest bit set if one of eight bytes is a backslash or a control character.
func strange(eight uint64) uint64 {
	backslash := eight ^ ones*'\\'
	return (eight-ones*' ')&^eight | (backslash-ones)&^backslash
}

// member is what stands before the value of a record's member, a comma or the opening bracket, the name and the
// colon, and the field that the value is.
type member struct {
	field field
	size  uint8
	text  [30]byte // enough for the contract's names
}

// maxMembers is how many members of a record are remembered.
const maxMembers = 16

// readPlain is readMembers for a plain record. It compares each member with that of the record before it, since
// those of one producer have mostly the same ones in the same order.
func (o *object) readPlain(f *fields) bool {
	b, i := o.json, 0
	for n := 0; ; n++ {
		field, from := o.expected(n, i)
		if from == malformed {
			return false
		}
		if field == metadataField {
			i = o.readPlainMetadata(from)
		} else {
			i = plainValue(b, from, 1)
		}
		if i == malformed {
			return false
		}
		f[field] = b[from:i]
		if at(b, i) == '}' {
			return i+1 == len(b)
		}
	}
}

// expected reads up to the nth member's value.
func (o *object) expected(n, i int) (f field, next int) {
	if n < maxMembers {
		m := &o.members[n]
		if end := i + int(m.size); m.size > 0 && end <= len(o.json) && string(o.json[i:end]) == string(m.text[:m.size]) {
			return m.field, oneSpace(o.json, end)
		}
	}
	return o.unexpected(n, i)
}

// unexpected is expected for a member that the record before did not have there.
func (o *object) unexpected(n, i int) (f field, next int) {
	b := o.json
	if n == 0 && at(b, i) != '{' || n > 0 && at(b, i) != ',' {
		return noField, malformed
	}
	begin := oneSpace(b, i+1)
	end, next := plainName(b, begin)
	if next == malformed {
		return noField, malformed
	}
	f = named(b[begin+1 : end])
	if n < maxMembers && next-i <= len(o.members[n].text) {
		m := &o.members[n]
		m.field, m.size = f, uint8(next-i)
		copy(m.text[:], b[i:next])
	}
	return f, next
}

func (o *object) readPlainMetadata(i int) int {
	b := o.json
	o.metadata = o.metadata[:0]
	if at(b, i) != '{' {
		return plainValue(b, i, 1)
	}
	if i = oneSpace(b, i+1); at(b, i) == '}' {
		return i + 1
	}
	o.metadata, i = appendPlain(o.metadata, b, i)
	return i
}

// appendPlain reads an object's members, of which there is one at least, and its closing bracket.
func appendPlain(entries []entry, b []byte, i int) ([]entry, int) {
	for {
		end, from := plainName(b, i)
		if end == malformed {
			return entries, malformed
		}
		name := b[i+1 : end]
		if i = plainValue(b, from, 2); i == malformed {
			return entries, malformed
		}
		text := b[from:i]
		if b[from] == '"' {
			text = b[from+1 : i-1]
		} else {
			text = entryText(text)
		}
		entries = append(entries, entry{name, text})
		switch at(b, i) {
		case ',':
			i = oneSpace(b, i+1)
		case '}':
			return entries, i + 1
		default:
			return entries, malformed
		}
	}
}

// plainName reads a member's name, its colon and a space behind that; end is behind what is in the name.
func plainName(b []byte, i int) (end, next int) {
	if at(b, i) != '"' {
		return malformed, malformed
	}
	end = quote(b, i+1)
	if at(b, end+1) != ':' {
		return malformed, malformed
	}
	return end, oneSpace(b, end+2)
}

// plainValue reads any value, which begins at i, inside of so many others.
func plainValue(b []byte, i, depth int) int {
	switch c := at(b, i); {
	case c == '"':
		if end := quote(b, i+1); end < len(b) {
			return end + 1
		}
		return malformed
	case '1' <= c && c <= '9':
		end := i + 1
		for end < len(b) && b[end]-'0' <= 9 {
			end++
		}
		if c := at(b, end); c == ',' || c == '}' {
			return end
		}
	}
	return value(b, i, depth)
}

// quote returns the index of the next quotation mark, or of the end.
func quote(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		eight := binary.LittleEndian.Uint64(b[i:]) ^ ones*'"'
		if found := (eight - ones) &^ eight & tops; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(b) && b[i] != '"' {
		i++
	}
	return i
}

// at returns the byte at an index, 0 behind the end.
func at(b []byte, i int) byte {
	if i < len(b) {
		return b[i]
	}
	return 0
}

// oneSpace passes over a space.
func oneSpace(b []byte, i int) int {
	if i < len(b) && b[i] == ' ' {
		return i + 1
	}
	return i
}
