package libruntime

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const passwd = "root:x:0:0:root:/root:/bin/sh\n#comment\nshort:x:1\nrel:x:2:2::home:/bin/sh\nbob:x:1000:1000::/home/bob:\nbobby:x:1000:1000::/other:"

func TestPasswd(t *testing.T) {
	for uid, want := range map[int][2]string{
		0: {"root", "/root"}, 1: {"", "/"}, 2: {"rel", "/"}, 1000: {"bob", "/home/bob"}, 7: {"", "/"},
	} {
		if got := [2]string{passwdName([]byte(passwd), uid), passwdHome([]byte(passwd), uid)}; got != want {
			t.Errorf("%d: %v", uid, got)
		}
	}
}

func TestSetHome(t *testing.T) {
	for _, tc := range []struct{ env, want []string }{
		{nil, []string{"HOME=/home/bob"}},
		{[]string{"A=b", "HOMELESS=1"}, []string{"A=b", "HOMELESS=1", "HOME=/home/bob"}},
		{[]string{"HOME=/x"}, []string{"HOME=/x"}},
		{[]string{"HOME="}, []string{"HOME=/home/bob"}},
	} {
		p := &specs.Process{Env: tc.env, User: specs.User{UID: 1000}}
		setHome(p, func() []byte { return []byte(passwd) })
		if !reflect.DeepEqual(p.Env, tc.want) {
			t.Errorf("got %v, want %v", p.Env, tc.want)
		}
	}
	setHome(&specs.Process{Env: []string{"HOME=/x"}}, func() []byte { t.Error("the file was read for nothing"); return nil })
	setHome(nil, nil)
}

// The root filesystem is the image's: links must not lead out of it, and nothing in it may make bailey hang.
func TestPasswdOfHostileRoot(t *testing.T) {
	root := t.TempDir()
	if got := passwdIn(root); got != nil {
		t.Errorf("without a file: %q", got)
	}
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "etc/passwd")
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{outside, "../../../../../../" + outside, "/proc/self/exe", "passwd"} {
		if err := os.Symlink(target, file); err != nil {
			t.Fatal(err)
		}
		if got := passwdIn(root); got != nil {
			t.Errorf("%s: %q", target, got)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := passwdIn(root); got != nil {
		t.Errorf("a FIFO: %q", got)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/real", file); err != nil { // absolute inside the root
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "etc/real"), []byte(passwd), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := passwdIn(root); string(got) != passwd {
		t.Errorf("got %q", got)
	}
}
