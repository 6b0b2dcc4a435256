package criu

import (
	"os"
	"testing"

	"github.com/bailey-oci/bailey/internal/protobuf"
)

// What is put together is taken apart again; the numbers are those of CRIU's rpc.proto.
func TestMessages(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	o := Options{Images: f, Work: f, PID: 300, Root: "/root", ShellJob: true, StatusFD: -1,
		External: []string{"mnt[/a]:/b", "file[1:2]"}, Inherit: []Inherited{{Key: "pipe:[1]"}, {Key: "pipe:[2]"}}}
	got := make(map[uint64][]any)
	if err := protobuf.Fields(o.encode(), func(field, v uint64, inner []byte) error {
		if inner != nil {
			got[field] = append(got[field], string(inner))
		} else {
			got[field] = append(got[field], v)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got[2][0] != uint64(300) || got[13][0] != "/root" || got[7][0] != uint64(1) || len(got[37]) != 2 || got[37][1] != "file[1:2]" {
		t.Errorf("%v", got)
	}
	if want := "\n\bpipe:[2]\x10\x05"; got[27][1] != want {
		t.Errorf("%q, want %q", got[27][1], want)
	}
	if len(got[49]) != 0 || len(got[3]) != 0 {
		t.Errorf("what is not set is there: %v", got)
	}

	var restored, m message
	restored.number(1, 4711)
	m.number(1, uint64(restore))
	m.set(2, true)
	m.inner(4, restored)
	m.text(9, "no")
	r, err := decode(m)
	if err != nil || r.kind != restore || !r.success || r.pid != 4711 || r.message != "no" {
		t.Errorf("%+v (%v)", r, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\b\x02\x10\x01\"\x03\b\xe7\x24"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = decode(b) })
}
