package sandbox

import (
	"testing"

	"github.com/bailey-oci/bailey/spec"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]uint64{"1": 1, "4k": 4096, "512M": 512 << 20, "2g": 2 << 30, "1T": 1 << 40} {
		if n, ok := ParseSize(text); !ok || n != want {
			t.Errorf("%q is %d, %v", text, n, ok)
		}
	}
	for _, text := range []string{"", "0", "-1", "g", "1.5g", "1gb", "1 g", "9999999999t", "18446744073709551615"} {
		if n, ok := ParseSize(text); ok {
			t.Errorf("%q is %d", text, n)
		}
	}
}

// Whatever lies in something is mounted after it, and the later of two decisions about a place holds.
func TestMountOrder(t *testing.T) {
	v := make(view)
	for _, dir := range []string{"/a/b", "/a-b", "/a", "/a/b/c", "/a.b/c", "/z"} {
		v.show(dir, false, "rro")
	}
	v.empty("/z")
	at := make(map[string]int)
	for i, e := range v.mounts() {
		at[e.mount.Destination] = i
	}
	if len(at) != 6 || at["/a"] > at["/a/b"] || at["/a/b"] > at["/a/b/c"] || v["/z"].host {
		t.Errorf("%v", at)
	}
	for p, want := range map[string]bool{"/a": true, "/a/x": true, "/a-": false, "/z/x": false, "/": false, "/a.b/c/d": true, "/a.b": false} {
		if v.shown(p) != want {
			t.Errorf("%s is shown: %v", p, !want)
		}
	}
}

// What the machine's services and their users have is not shown because somebody happens to be there.
func TestOrdinary(t *testing.T) {
	b := &builder{home: "/home/me"}
	for dir, want := range map[string]bool{
		"/": false, "/home": false, "/home/me": false, "/home/you": false, "/home/me/src": true, "/root": false, "/root/src": true,
		"/var": false, "/var/lib": false, "/var/lib/thing": true, "/run": false, "/run/user/1000": false, "/proc/1": false,
		"/sys/kernel": false, "/dev/shm": false, "/tmp": false, "/tmp/x": true, "/srv": false, "/srv/www": true, "/work": true,
	} {
		if b.ordinary(dir) != want {
			t.Errorf("%s: %v", dir, !want)
		}
	}
}

func TestCapabilities(t *testing.T) {
	got, err := capabilities([]string{"chown", "CAP_KILL", "Cap_Setuid"})
	if err != nil || len(got) != 3 || got[0] != "CAP_CHOWN" || got[1] != "CAP_KILL" || got[2] != "CAP_SETUID" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := capabilities([]string{"fly"}); err == nil {
		t.Error("CAP_FLY is one")
	}
}

func TestConfigurationIsValid(t *testing.T) {
	box, err := New(Options{Args: []string{"true"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := spec.Validate(box.Spec); err != nil {
		t.Error(err)
	}
}
