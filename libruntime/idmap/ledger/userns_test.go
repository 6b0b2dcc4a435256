package ledger

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// In a user namespace there are the IDs that it has, whatever the account's lines say.
func TestInUserNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const first, size = 3100000000, 65536
	for lines, want := range map[string]string{
		"bailey:1000:1000000\n":   "1000-1999",
		"bailey:60000:1000000\n":  "60000-60999",
		"bailey:64990:1000000\n":  "546 IDs (64990-65535)",
		"bailey:100000:1000000\n": "none of its ranges (100000-1099999) is its alone and exists here",
	} {
		// Not below t.TempDir, which others may not enter.
		dir, err := os.MkdirTemp("", "ledger-")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m := &machineDir{t, dir}
		m.must(os.Mkdir(m.path("run"), 0o700))
		for name, text := range map[string]string{"subuid": lines, "subgid": lines, "passwd": "", "group": "", "boot": testBoot} {
			m.write(name, text)
			m.must(os.Chown(m.path(name), first, first))
		}
		m.must(os.Chown(m.path("run"), first, first))
		m.must(os.Chown(dir, first, first))
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), stepVariable+"=allocate "+dir+" a")
		maps := []syscall.SysProcIDMap{{ContainerID: 0, HostID: first, Size: size}}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: maps, GidMappings: maps,
			GidMappingsEnableSetgroups: true, Credential: &syscall.Credential{}}
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Errorf("%s%v: %s\nwant %q", lines, err, out, want)
		}
	}
}

// Where the ledger is, and whose.
func TestPlaces(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("HOME", "/home/alice")
	m := newMachine(t)
	m.write("machine-id", "0123\n")
	o := Options{Paths: m.options().Paths}
	m.must(o.complete())
	if os.Geteuid() == 0 && (o.Dir != "/var/lib/bailey/ids" || o.Account != "bailey" || o.Rest != DefaultRest) {
		t.Errorf("%+v", o)
	}
	for text, want := range map[string]string{"0123\n": "0123", "": "machine", "../x": "machine", "a/b": "machine"} {
		m.write("machine-id", text)
		if got := machine(m.path("machine-id")); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	if a := numbering(m.path("proc")); len(a) < 8 {
		t.Errorf("%q", a)
	}
}
