package shim

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/shim/wire"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// spawn starts a child that nobody waits for.
func spawn(t *testing.T, script string) int {
	t.Helper()
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", script}, &os.ProcAttr{Sys: &syscall.SysProcAttr{}})
	must(t, err)
	pid := p.Pid
	must(t, p.Release())
	return pid
}

func zombie(pid int) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err == nil && strings.Contains(string(b), ") Z ")
}

func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what + ": not within five seconds")
		}
	}
}

// Only children that nobody waits for are reaped, and none while there may be some that nobody knows yet.
func TestReaper(t *testing.T) {
	var r reaper
	known := spawn(t, "exit 3")
	r.know(known)
	c, err := openChild(known)
	must(t, err)
	waitFor(t, "the end of a child", func() bool { return zombie(known) })
	r.ended()
	if !zombie(known) {
		t.Fatal("a child that somebody waits for was reaped")
	}
	var orphan int
	must(t, r.during(func() error {
		orphan = spawn(t, "exit 4")
		waitFor(t, "the end of an orphan", func() bool { return zombie(orphan) })
		r.ended()
		if !zombie(orphan) {
			t.Error("a child was reaped while some were being made")
		}
		return nil
	}))
	// The known one may be in the way of the other one until it was waited for.
	if e := c.wait(); e.Status != 3 || e.PID != known {
		t.Errorf("%+v", e)
	}
	r.forget(known)
	if zombie(orphan) {
		t.Error("an orphan was not reaped")
	}
	c.close()
	if err := c.signal(unix.SIGTERM); err != unix.ESRCH {
		t.Errorf("a signal for a child that has ended: %v", err)
	}
}

func TestChildEndedByASignal(t *testing.T) {
	c, err := openChild(spawn(t, "sleep 100"))
	must(t, err)
	defer c.close()
	must(t, c.signal(unix.SIGTERM))
	if e := c.wait(); e.Status != 128+int(unix.SIGTERM) || e.At.IsZero() {
		t.Errorf("%+v", e)
	}
}

// Waiting takes no threads: many children may live at once, and end at once.
func TestManyChildren(t *testing.T) {
	var group sync.WaitGroup
	for range 50 {
		c, err := openChild(spawn(t, "sleep 0.1; exit 9"))
		must(t, err)
		group.Go(func() {
			defer c.close()
			if e := c.wait(); e.Status != 9 {
				t.Errorf("%+v", e)
			}
		})
	}
	group.Wait()
}

func TestShorten(t *testing.T) {
	for _, tc := range []struct{ data, dir, short string }{
		{"index=off,lowerdir=/a/b/1/fs:/a/b/22/fs,upperdir=/x", "/a/b", "index=off,lowerdir=1/fs:22/fs,upperdir=/x"},
		{"lowerdir=/a/1:/b/2", "", ""},
		{"lowerdir=rel/1:rel/2", "", ""},
		{"upperdir=/x", "", "upperdir=/x"},
	} {
		dir, short := shorten(strings.Split(tc.data, ","))
		if dir != tc.dir || strings.Join(short, ",") != tc.short {
			t.Errorf("%s: %q, %q", tc.data, dir, short)
		}
	}
}

// Containers whose images have more layers than mount(2) has room for start as well.
func TestMountOfManyLayers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root")
	}
	bundle := t.TempDir()
	var lower []string
	for i := range 70 {
		dir := filepath.Join(bundle, strings.Repeat("long-name-", 8), strconv.Itoa(i), "fs")
		must(t, os.MkdirAll(dir, 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "file"+strconv.Itoa(i)), nil, 0o644))
		lower = append(lower, dir)
	}
	must(t, os.Mkdir(filepath.Join(bundle, "upper"), 0o755))
	must(t, os.Mkdir(filepath.Join(bundle, "work"), 0o755))
	before, err := os.Getwd()
	must(t, err)
	err = mountRootfs(bundle, []wire.Mount{{Type: "overlay", Source: "overlay", Options: []string{
		"index=off", "upperdir=" + bundle + "/upper", "workdir=" + bundle + "/work", "lowerdir=" + strings.Join(lower, ":")}}})
	must(t, err)
	found, err := filepath.Glob(filepath.Join(bundle, "rootfs", "file*"))
	must(t, err)
	if after, _ := os.Getwd(); len(found) != 70 || after != before {
		t.Errorf("%d files of 70; the working directory is %s", len(found), after)
	}
	must(t, unmountAll(filepath.Join(bundle, "rootfs")))
	must(t, unmountAll(filepath.Join(bundle, "rootfs")))
}

func TestMountRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, o := range []string{"loop", "X-containerd.loop", "uidmap=0:1000:10"} {
		name, _, _ := strings.Cut(o, "=")
		if err := mount(wire.Mount{Type: "bind", Source: "/none", Options: []string{o}}, "/none"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", o, err)
		}
	}
	for _, text := range []string{"", "0:1000", "0:1000:1:1", "0:-1:1", "0:1000:4294967296", "0:1000:1,"} {
		err := mount(wire.Mount{Type: "overlay", Options: []string{"lowerdir=/none", "uidmap=" + text, "gidmap=0:1:1"}}, "/none")
		if err == nil || !strings.Contains(err.Error(), "no ID mapping") {
			t.Errorf("uidmap=%s: %v", text, err)
		}
	}
}

// A pod's user namespace: the image's files belong to its IDs, the layer that is written to has them on disk, and nothing but the
// overlay itself is mounted.
func TestMountMapped(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("root mounts")
	}
	dir := t.TempDir()
	for _, d := range []string{"lower", "upper", "work", "rootfs"} {
		must(t, os.Mkdir(filepath.Join(dir, d), 0o755))
	}
	must(t, os.WriteFile(dir+"/lower/root", nil, 0o644))
	must(t, os.WriteFile(dir+"/lower/user", nil, 0o644))
	must(t, os.Chown(dir+"/lower/user", 1000, 2000))
	before, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	must(t, mountRootfs(dir, []wire.Mount{{Type: "overlay", Source: "overlay", Options: []string{
		"index=off", "uidmap=0:100000:1000,1000:300000:1", "gidmap=0:200000:65536",
		"workdir=" + dir + "/work", "upperdir=" + dir + "/upper", "lowerdir=" + dir + "/lower",
	}}}))
	t.Cleanup(func() { must(t, unmountAll(dir+"/rootfs")) })
	after, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	if n := strings.Count(string(after), "\n") - strings.Count(string(before), "\n"); n != 1 {
		t.Errorf("%d mounts more", n)
	}
	// To write to it copies it up, with its owner.
	must(t, os.WriteFile(dir+"/rootfs/user", []byte("new"), 0o644))
	for path, want := range map[string][2]uint32{
		"rootfs/root": {100000, 200000}, "rootfs/user": {300000, 202000}, "upper/user": {300000, 202000}, "lower/user": {1000, 2000},
	} {
		var st unix.Stat_t
		must(t, unix.Stat(filepath.Join(dir, path), &st))
		if got := [2]uint32{st.Uid, st.Gid}; got != want {
			t.Errorf("%s belongs to %v and not to %v", path, got, want)
		}
	}
}

// The answer to start is what the containerd that asks understands.
func TestAnswer(t *testing.T) {
	params := func(id string) []byte {
		b := append([]byte{0x0a, byte(len(id))}, id...)
		return append(b, 0x12, 1, 'n')
	}
	c := &call{id: "web", namespace: "n"}
	if b := c.bootstrap(params("web")); !b.current {
		t.Error("the protocol of containerd 2.3 is not understood")
	}
	if b := c.bootstrap(params("other")); b.current {
		t.Error("something else is taken for it")
	}
	b := c.bootstrap(nil)
	t.Setenv("MAX_SHIM_VERSION", "2")
	if got := string(b.answer("unix:///s")); got != `{"version":2,"address":"unix:///s","protocol":"ttrpc"}` {
		t.Error(got)
	}
	must(t, os.Unsetenv("MAX_SHIM_VERSION"))
	if got := string(b.answer("unix:///s")); got != "unix:///s" {
		t.Error(got)
	}
}

// Options come as runc's or, for a runtime that containerd has no type for, as TOML.
func TestOptions(t *testing.T) {
	body := "SystemdCgroup = true\nRoot = \"/r\"\nBinaryName = \"/usr/bin/runc\"\nIoUid = 7\n"
	generic := append([]byte{0x1a, byte(len(body))}, body...)
	want := &wire.Options{SystemdCgroup: true, Root: "/r", IoUID: 7}
	got, err := decodeOptions(wire.Any{TypeURL: "runtimeoptions.v1.Options", Value: generic})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = decodeOptions(wire.Any{TypeURL: "containerd.runc.v1.Options", Value: []byte{0x48, 1, 0x3a, 2, '/', 'r', 0x20, 7}})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := decodeOptions(wire.Any{}); got != nil || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

func TestCommandLine(t *testing.T) {
	var stderr bytes.Buffer
	c, err := parse([]string{"-namespace", "n", "-address", "/a", "-publish-binary", "/p", "-id", "web", "-bundle", "/b", "delete"}, &stderr)
	if err != nil || c.namespace != "n" || c.id != "web" || c.bundle != "/b" || c.action != "delete" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := parse([]string{"start"}, &stderr); err == nil {
		t.Error("no namespace, and no error")
	}
}
