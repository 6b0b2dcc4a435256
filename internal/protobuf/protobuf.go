// Package protobuf is as much of the Protocol Buffers encoding as messages need that are put together field by field: numbers
// of variable length, and bytes with their length before them. The library for it reads the running program's own file
// when that starts, whether it is used or not.
package protobuf

import (
	"encoding/binary"
	"errors"
)

// The types of fields (wire types).
const (
	varint  = 0
	fixed64 = 1
	bytes   = 2
	fixed32 = 5
)

// maxField is the highest number that a field can have.
const maxField = 1<<29 - 1

// ErrMalformed is that bytes are no message.
var ErrMalformed = errors.New("a message that is not understood")

// AppendNumber appends a field that is a number.
func AppendNumber(b []byte, field, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, field<<3|varint), v)
}

// AppendFixed64 appends a field that is 64 bits, as those of a double are.
func AppendFixed64(b []byte, field, v uint64) []byte {
	return binary.LittleEndian.AppendUint64(binary.AppendUvarint(b, field<<3|fixed64), v)
}

// AppendBytes appends a field that is bytes, text or a message.
func AppendBytes[T ~[]byte | ~string](b []byte, field uint64, v T) []byte {
	return append(binary.AppendUvarint(binary.AppendUvarint(b, field<<3|bytes), uint64(len(v))), v...)
}

// Fields calls do with every field that is a number (v) or bytes (inner, which are those of b). Fields of fixed size are
// passed over.
func Fields(b []byte, do func(field, v uint64, inner []byte) error) error {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag>>3 == 0 || tag>>3 > maxField {
			return ErrMalformed
		}
		b = b[n:]
		var v uint64
		var inner []byte
		switch tag & 7 {
		case varint:
			if v, n = binary.Uvarint(b); n <= 0 {
				return ErrMalformed
			}
			b = b[n:]
		case bytes:
			size, n := binary.Uvarint(b)
			if n <= 0 || size > uint64(len(b)-n) {
				return ErrMalformed
			}
			inner, b = b[n:n+int(size)], b[n+int(size):]
		case fixed64, fixed32:
			size := map[uint64]int{fixed64: 8, fixed32: 4}[tag&7]
			if size > len(b) {
				return ErrMalformed
			}
			b = b[size:]
			continue
		default:
			return ErrMalformed
		}
		if err := do(tag>>3, v, inner); err != nil {
			return err
		}
	}
	return nil
}
