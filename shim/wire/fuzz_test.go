package wire

import (
	"bytes"
	"reflect"
	"testing"
	"time"
)

// requests are one of each kind of what is read from others.
func requests() []Request {
	return []Request{
		new(Task), new(Create), new(Exec), new(Kill), new(Resize), new(CloseIO), new(Update), new(Checkpoint),
		new(Options), new(GenericOptions), new(CheckpointOptions), new(Bootstrap),
	}
}

// Whatever bytes come, they are read or refused, and what is read is within them.
func FuzzRequests(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x0a\x01i\x12\x01b\x1a\x05\x0a\x01t\x12\x00"))
	f.Add([]byte("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Add([]byte("\x42\x08\x0a\x06\x0a\x01t\x12\x01v"))
	f.Add([]byte{0x08})
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		for _, r := range requests() {
			first := r.Decode(b)
			again := reflect.New(reflect.TypeOf(r).Elem()).Interface().(Request)
			if second := again.Decode(b); (first == nil) != (second == nil) || !reflect.DeepEqual(r, again) {
				t.Errorf("%T: %+v (%v), and %+v (%v)", r, r, first, again, second)
			}
			if size := sizeOf(reflect.ValueOf(r)); size > len(b) {
				t.Errorf("%T: %d bytes of %d", r, size, len(b))
			}
		}
		if !bytes.Equal(b, before) {
			t.Error("reading has changed the message")
		}
	})
}

// sizeOf returns how many bytes of text a message has.
func sizeOf(v reflect.Value) (n int) {
	switch v.Kind() {
	case reflect.Pointer:
		return sizeOf(v.Elem())
	case reflect.String:
		return v.Len()
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return v.Len()
		}
		for i := range v.Len() {
			n += sizeOf(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += sizeOf(v.Field(i))
		}
	}
	return n
}

// What is written of texts and numbers of any kind can be read again.
func FuzzMount(f *testing.F) {
	f.Add("overlay", "overlay", "/target", "ro", int64(1))
	f.Fuzz(func(t *testing.T, kind, source, target, option string, at int64) {
		m := Mount{Type: kind, Source: source, Target: target, Options: []string{option, ""}}
		var got Mount
		if err := got.decode(m.encode()); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%+v is %+v (%v)", m, got, err)
		}
		a := Any{TypeURL: kind, Value: []byte(source)}
		b, err := DecodeAny(a.encode())
		if err != nil || b.TypeURL != kind || string(b.Value) != source {
			t.Errorf("%+v is %+v (%v)", a, b, err)
		}
		e := Deleted{PID: 1, Status: 2, At: time.Unix(at%(1<<40), at&0x3fffffff)}
		if err := new(Task).Decode(e.Encode()); err != nil {
			t.Error(err)
		}
	})
}
