package wire

import (
	"time"

	"github.com/bailey-oci/bailey/internal/protobuf"
)

// message is a message being put together. As proto3 has it, what is zero is left out.
type message []byte

func (m *message) number(field uint64, v uint64) {
	if v != 0 {
		*m = protobuf.AppendNumber(*m, field, v)
	}
}

func (m *message) set(field uint64, v bool) {
	if v {
		m.number(field, 1)
	}
}

func (m *message) text(field uint64, s string) {
	if s != "" {
		*m = protobuf.AppendBytes(*m, field, s)
	}
}

func (m *message) texts(field uint64, list []string) {
	for _, s := range list {
		*m = protobuf.AppendBytes(*m, field, s)
	}
}

func (m *message) bytes(field uint64, b []byte) {
	if len(b) > 0 {
		m.inner(field, b)
	}
}

// inner adds a message that is there even if it is empty.
func (m *message) inner(field uint64, inner message) {
	*m = protobuf.AppendBytes(*m, field, inner)
}

// time adds a google.protobuf.Timestamp; the zero time is left out.
func (m *message) time(field uint64, t time.Time) {
	if t.IsZero() {
		return
	}
	var stamp message
	stamp.number(1, uint64(t.Unix()))
	stamp.number(2, uint64(t.Nanosecond()))
	m.inner(field, stamp)
}

// field is one field of a message that is read: a number, or bytes, which are those of the message.
type field struct {
	number uint64
	value  uint64
	bytes  []byte
}

func (f *field) text() string { return string(f.bytes) }

// fields calls do with the fields of a message. Those of fixed size, which no message here has, are left out.
func fields(b []byte, do func(f field) error) error {
	return protobuf.Fields(b, func(number, v uint64, inner []byte) error { return do(field{number, v, inner}) })
}

// Any is a google.protobuf.Any: a value of whatever type.
type Any struct {
	TypeURL string
	Value   []byte
}

func (a *Any) decode(b []byte) error {
	return fields(b, func(f field) error {
		switch f.number {
		case 1:
			a.TypeURL = f.text()
		case 2:
			a.Value = f.bytes
		}
		return nil
	})
}

func (a Any) encode() message {
	var m message
	m.text(1, a.TypeURL)
	m.bytes(2, a.Value)
	return m
}

// DecodeAny reads an Any.
func DecodeAny(b []byte) (Any, error) {
	var a Any
	return a, a.decode(b)
}

// Mount is a mount that containerd asks for.
type Mount struct {
	Type, Source, Target string
	Options              []string
}

func (a *Mount) decode(b []byte) error {
	return fields(b, func(f field) error {
		switch f.number {
		case 1:
			a.Type = f.text()
		case 2:
			a.Source = f.text()
		case 3:
			a.Target = f.text()
		case 4:
			a.Options = append(a.Options, f.text())
		}
		return nil
	})
}

func (a Mount) encode() message {
	var m message
	m.text(1, a.Type)
	m.text(2, a.Source)
	m.text(3, a.Target)
	m.texts(4, a.Options)
	return m
}
