package systemd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The types of messages (D-Bus Specification, "Message Format").
const (
	methodCall   = 1
	methodReturn = 2
	errorReply   = 3
	signalSent   = 4
)

// The header's fields.
const (
	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldErrorName   = 4
	fieldReplySerial = 5
	fieldDestination = 6
	fieldSignature   = 8
)

// maxMessage is the longest message that is read, in bytes; the specification allows 128 MiB.
const maxMessage = 1 << 20

// Property is a property of a unit. Value is a string, bool, int32, uint32, int64, uint64, float64, []byte, []uint32 or
// []string.
type Property struct {
	Name  string
	Value any
}

// signature returns the D-Bus type of a property's value, or "" if it can have none.
func signature(v any) string {
	switch v.(type) {
	case string:
		return "s"
	case bool:
		return "b"
	case int32:
		return "i"
	case uint32:
		return "u"
	case int64:
		return "x"
	case uint64:
		return "t"
	case float64:
		return "d"
	case []byte:
		return "ay"
	case []uint32:
		return "au"
	case []string:
		return "as"
	}
	return ""
}

// writer puts values together, each aligned to its size, counted from the start of the message.
type writer struct{ b []byte }

func (w *writer) align(n int) {
	for len(w.b)%n != 0 {
		w.b = append(w.b, 0)
	}
}

func (w *writer) uint32(v uint32) {
	w.align(4)
	w.b = binary.LittleEndian.AppendUint32(w.b, v)
}

func (w *writer) uint64(v uint64) {
	w.align(8)
	w.b = binary.LittleEndian.AppendUint64(w.b, v)
}

func (w *writer) string(s string) {
	w.uint32(uint32(len(s)))
	w.b = append(append(w.b, s...), 0)
}

func (w *writer) signature(s string) {
	w.b = append(append(append(w.b, byte(len(s))), s...), 0)
}

// array writes what each puts as an array, whose elements are aligned to n.
func (w *writer) array(n int, each func()) {
	w.uint32(0)
	at := len(w.b)
	w.align(n)
	start := len(w.b)
	each()
	binary.LittleEndian.PutUint32(w.b[at-4:], uint32(len(w.b)-start))
}

func (w *writer) value(v any) {
	switch v := v.(type) {
	case string:
		w.string(v)
	case bool:
		n := uint32(0)
		if v {
			n = 1
		}
		w.uint32(n)
	case int32:
		w.uint32(uint32(v))
	case uint32:
		w.uint32(v)
	case int64:
		w.uint64(uint64(v))
	case uint64:
		w.uint64(v)
	case float64:
		w.uint64(math.Float64bits(v))
	case []byte:
		w.array(1, func() { w.b = append(w.b, v...) })
	case []uint32:
		w.array(4, func() {
			for _, n := range v {
				w.uint32(n)
			}
		})
	case []string:
		w.array(4, func() {
			for _, s := range v {
				w.string(s)
			}
		})
	}
}

// properties writes a(sv).
func (w *writer) properties(list []Property) {
	w.array(8, func() {
		for _, p := range list {
			w.align(8)
			w.string(p.Name)
			w.signature(signature(p.Value))
			w.value(p.Value)
		}
	})
}

// call returns a method call. body writes the arguments, of the types that types says.
func call(serial uint32, destination, path, iface, member, types string, body func(*writer)) []byte {
	var args writer
	if body != nil {
		body(&args)
	}
	w := writer{b: []byte{'l', methodCall, 0, 1}}
	w.uint32(uint32(len(args.b)))
	w.uint32(serial)
	w.array(8, func() {
		field := func(code byte, kind, value string) {
			if value == "" {
				return
			}
			w.align(8)
			w.b = append(w.b, code)
			w.signature(kind)
			if kind == "g" {
				w.signature(value)
			} else {
				w.string(value)
			}
		}
		field(fieldPath, "o", path)
		field(fieldInterface, "s", iface)
		field(fieldMember, "s", member)
		field(fieldDestination, "s", destination)
		field(fieldSignature, "g", types)
	})
	w.align(8)
	return append(w.b, args.b...)
}

// message is a received one.
type message struct {
	kind        byte
	replyTo     uint32
	member, err string
	types       string
	body        reader
}

var errMalformed = errors.New("a D-Bus message that is not well formed")

// headerLength returns the length of a message's header and of its body, from its first 16 bytes.
func headerLength(b []byte) (header, body int, err error) {
	if b[0] != 'l' && b[0] != 'B' || b[3] != 1 {
		return 0, 0, errMalformed
	}
	order := byteOrder(b[0])
	length, fields := order.Uint32(b[4:]), order.Uint32(b[12:])
	if length > maxMessage || fields > maxMessage {
		return 0, 0, fmt.Errorf("a D-Bus message of %d bytes", uint64(length)+uint64(fields))
	}
	return (16 + int(fields) + 7) &^ 7, int(length), nil
}

func byteOrder(mark byte) binary.ByteOrder {
	if mark == 'B' {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// parse takes a whole message apart.
func parse(b []byte) (*message, error) {
	header, _, err := headerLength(b)
	if err != nil {
		return nil, err
	}
	if header > len(b) {
		return nil, errMalformed
	}
	m := &message{kind: b[1]}
	order := byteOrder(b[0])
	r := reader{b: b[:16+int(order.Uint32(b[12:]))], at: 16, order: order}
	for r.at < len(r.b) && r.err == nil {
		r.align(8)
		code := r.byte()
		switch types := r.signature(); types {
		case "s", "o":
			s := r.string()
			switch code {
			case fieldMember:
				m.member = s
			case fieldErrorName:
				m.err = s
			}
		case "g":
			m.types = r.signature()
		case "u":
			if n := r.uint32(); code == fieldReplySerial {
				m.replyTo = n
			}
		default:
			return nil, errMalformed
		}
	}
	m.body = reader{b: b[header:], order: order}
	return m, r.err
}

// reader takes values from a message. After an error they are all zero.
type reader struct {
	b     []byte
	at    int
	order binary.ByteOrder
	err   error
}

// take returns the next n bytes, or n zero bytes and notes an error.
func (r *reader) take(n int) []byte {
	if r.err == nil && n <= len(r.b)-r.at {
		r.at += n
		return r.b[r.at-n : r.at]
	}
	r.err = errMalformed
	return make([]byte, min(n, 8))
}

func (r *reader) align(n int) {
	if pad := (n - r.at%n) % n; pad > 0 {
		r.take(pad)
	}
}

func (r *reader) byte() byte { return r.take(1)[0] }

func (r *reader) uint32() uint32 {
	r.align(4)
	return r.order.Uint32(r.take(4))
}

func (r *reader) text(n int) string {
	if n > len(r.b) {
		r.err = errMalformed
		return ""
	}
	s := string(r.take(n))
	if r.byte() != 0 {
		r.err = errMalformed
	}
	if r.err != nil {
		return ""
	}
	return s
}

func (r *reader) string() string { return r.text(int(r.uint32())) }

func (r *reader) signature() string { return r.text(int(r.byte())) }
