package systemd

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"testing"

	"github.com/godbus/dbus/v5"
)

// A call is what another D-Bus library takes it for.
func TestCall(t *testing.T) {
	properties := []Property{
		{"S", "text"}, {"B", true}, {"I", int32(-5)}, {"U", uint32(6)}, {"X", int64(-7)}, {"T", uint64(1) << 63}, {"D", 1.5},
		{"AY", []byte{1, 2, 3}}, {"AU", []uint32{7}}, {"AS", []string{"a", "", "c"}}, {"Last", "x"},
	}
	b := call(9, service, root, manager, "StartTransientUnit", "ssa(sv)a(sa(sv))", func(w *writer) {
		w.string("a.scope")
		w.string("fail")
		w.properties(properties)
		w.array(8, func() {})
	})
	m, err := dbus.DecodeMessage(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if m.Type != dbus.TypeMethodCall || m.Serial() != 9 || m.Headers[dbus.FieldMember].Value() != "StartTransientUnit" ||
		m.Headers[dbus.FieldPath].Value() != dbus.ObjectPath(root) || m.Headers[dbus.FieldDestination].Value() != service ||
		m.Headers[dbus.FieldInterface].Value() != manager {
		t.Errorf("%+v", m)
	}
	var name, mode string
	var got []struct {
		Name  string
		Value dbus.Variant
	}
	var aux []struct {
		Name string
		P    []struct {
			Name  string
			Value dbus.Variant
		}
	}
	if err := dbus.Store(m.Body, &name, &mode, &got, &aux); err != nil {
		t.Fatal(err)
	}
	if name != "a.scope" || mode != "fail" || len(got) != len(properties) || len(aux) != 0 {
		t.Fatalf("%q %q %v %v", name, mode, got, aux)
	}
	for i, p := range properties {
		if got[i].Name != p.Name || !reflect.DeepEqual(got[i].Value.Value(), p.Value) {
			t.Errorf("%s: %v, want %v", p.Name, got[i], p.Value)
		}
	}
}

// What another D-Bus library writes, in either byte order, is understood.
func TestParse(t *testing.T) {
	m := &dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath(root)), dbus.FieldInterface: dbus.MakeVariant(manager),
		dbus.FieldMember: dbus.MakeVariant("JobRemoved"), dbus.FieldReplySerial: dbus.MakeVariant(uint32(77)),
		dbus.FieldErrorName: dbus.MakeVariant("org.example.Error"), dbus.FieldSignature: dbus.MakeVariant(dbus.ParseSignatureMust("uoss")),
	}, Body: []any{uint32(5), dbus.ObjectPath("/job/5"), "a.scope", "done"}}
	var b bytes.Buffer
	if _, err := m.CountFds(); err != nil {
		t.Fatal(err)
	}
	if err := m.EncodeTo(&b, binary.BigEndian); err != nil {
		t.Fatal(err)
	}
	header, body, err := headerLength(b.Bytes()[:16])
	if err != nil || header+body != b.Len() {
		t.Fatalf("%d+%d of %d, %v", header, body, b.Len(), err)
	}
	got, err := parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	r := got.body
	if got.kind != signalSent || got.member != "JobRemoved" || got.replyTo != 77 || got.err != "org.example.Error" || got.types != "uoss" ||
		r.uint32() != 5 || r.string() != "/job/5" || r.string() != "a.scope" || r.string() != "done" || r.err != nil {
		t.Errorf("%+v", got)
	}
	for n := 16; n < b.Len(); n++ {
		if m, err := parse(b.Bytes()[:n]); err == nil && n < header {
			t.Errorf("%d bytes of it are taken for %+v", n, m)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(call(1, "a", "/b", "c", "d", "s", func(w *writer) { w.string("e") }))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if len(b) < 16 {
			return
		}
		if m, err := parse(b); err == nil {
			m.body.uint32()
			m.body.string()
			m.body.signature()
		}
	})
}

func TestParseValue(t *testing.T) {
	for text, want := range map[string]any{
		"'a b'": "a b", `"it's"`: "it's", `'it\'s'`: "it's", "true": true, "boolean false": false, "5": int32(5), "-5": int32(-5),
		"uint64 5": uint64(5), "uint32 0x10": uint32(16), "int64 -9": int64(-9), "1.5": 1.5, "double 2": 2.0, "string 'x'": "x",
		"['a', 'b']": []string{"a", "b"}, "[]": []string{}, " ['a'] ": []string{"a"},
	} {
		if got, err := ParseValue(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "'a", "'a' b", "uint64", "uint64 -1", "uint32 4294967296", "byte 1", "[1]", "['a'", "['a' 'b']", "[", "'\\", "yes", "{'a': 1}"} {
		if got, err := ParseValue(text); err == nil {
			t.Errorf("%s: %#v", text, got)
		}
	}
}

func TestSlicePath(t *testing.T) {
	for name, want := range map[string]string{
		"-.slice": "", "system.slice": "/system.slice", "a-b-c.slice": "/a.slice/a-b.slice/a-b-c.slice",
	} {
		if got, ok := SlicePath(name); got != want || !ok {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", ".slice", "a", "a.scope", "-a.slice", "a-.slice", "a--b.slice", "a/b.slice"} {
		if got, ok := SlicePath(name); ok {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := Escape("a+b c.d_e-f"); got != `a\x2bb\x20c.d_e-f` {
		t.Error(got)
	}
}
