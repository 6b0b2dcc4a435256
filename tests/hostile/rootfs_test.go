package hostile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// hostileRootfs adds things to a root filesystem that a hostile image may have.
func (p *place) hostileRootfs(root string) {
	p.T.Helper()
	in := func(name string) string { return filepath.Join(root, name) }
	p.Must(os.Symlink("loop", in("loop")))
	p.Must(os.Symlink(p.outside, in("absolute")))
	p.Must(os.Symlink("../../../../../../../../../.."+p.outside, in("relative")))
	p.Must(os.Symlink("absolute/keep", in("chained")))
	p.Must(os.WriteFile(in("bin/garbage"), []byte("\x00\x01\x02garbage"), 0o755))
	p.Must(os.WriteFile(in("bin/script"), []byte("#!/bin/none\n"), 0o755))
	p.Must(unix.Mkfifo(in("bin/fifo"), 0o755))
}

var roots = []refusal{
	{"missing", `{"root":{"path":"none"}}`, "/root/path", "ENOENT"},
	{"empty", `{"root":{"path":""}}`, "/root/path", "missing"},
	{"a file", `{"root":{"path":"config.json"}}`, "/root/path", "ENOTDIR"},
	{"a FIFO", `{"root":{"path":"@DIR/fifo"}}`, "/root/path", "ENOTDIR"},
	{"a device", `{"root":{"path":"/dev/zero"}}`, "/root/path", "ENOTDIR"},
	{"a loop of links", `{"root":{"path":"rootfs/loop"}}`, "/root/path", "ELOOP"},
	{"with NUL", `{"root":{"path":"rootfs\u0000x"}}`, "/root/path", "NUL"},
	{"too long", `{"root":{"path":"` + strings.Repeat("/x", 3000) + `"}}`, "/root/path", "ENAMETOOLONG"},
}

func TestRoots(t *testing.T) {
	for _, tc := range roots {
		t.Run(tc.name, func(t *testing.T) { newPlace(t).refuse(tc) })
	}
}

// The links of an image lead nowhere outside: what they point to is looked for, and made, inside the root.
var traps = []struct {
	name string
	// set changes the image; the config is changed by patch.
	set   func(p *place, root string) error
	patch string
	// want is part of the error, "" if the container runs.
	want string
}{
	{"mount on an absolute link", nil, mountsWith(`"destination":"/absolute/made","type":"tmpfs"`), ""},
	{"mount on a relative link", nil, mountsWith(`"destination":"/relative/made","type":"tmpfs"`), ""},
	{"mount by way of ..", nil, mountsWith(`"destination":"/../../../..@DIR/outside/made","type":"tmpfs"`), ""},
	{"file on a link", nil, mountsWith(`"destination":"/chained","type":"bind","source":"/etc/hosts","options":["bind"]`), ""},
	{"file in a link", nil, mountsWith(`"destination":"/absolute/made","type":"bind","source":"/etc/hosts","options":["bind"]`), ""},
	{"device in a link", nil, linuxWith(`"devices":[{"path":"/relative/made","type":"c","major":1,"minor":3}]`), ""},
	{"FIFO in a link", nil, linuxWith(`"devices":[{"path":"/absolute/made","type":"p"}]`), ""},
	{"masked link", nil, linuxWith(`"maskedPaths":["/chained","/absolute"]`), ""},
	{"read-only link", nil, linuxWith(`"readonlyPaths":["/chained","/relative"]`), ""},
	{"working directory a link", nil, processWith(`"cwd":"/absolute/made"`), ""},
	{"/proc a link", relink("proc", "/tmp"), `{}`, "/mounts/0"},
	{"/proc a link to outside", relink("proc", "@OUT"), `{}`, "/mounts/0"},
	{"/sys a link", relink("sys", "@OUT"), `{}`, "/mounts/"},
	{"/dev a link", relink("dev", "@OUT"), `{}`, ""},
	{"/dev a link without a mount", relink("dev", "@OUT"), `{"mounts":[],"linux":{"maskedPaths":[],"readonlyPaths":[]}}`, ""},
	{"/dev a file", func(_ *place, root string) error {
		if err := os.Remove(root + "/dev"); err != nil {
			return err
		}
		return os.WriteFile(root+"/dev", nil, 0o644)
	}, `{}`, "/mounts/"},
	{"device nodes that are links", func(p *place, root string) error {
		return os.Symlink(p.outside+"/made", root+"/dev/null")
	}, `{"mounts":[],"linux":{"maskedPaths":[],"readonlyPaths":[]}}`, "/dev/null"},
	{"device links that are directories", func(_ *place, root string) error {
		return os.MkdirAll(root+"/dev/ptmx/x", 0o755)
	}, `{"mounts":[],"linux":{"maskedPaths":[],"readonlyPaths":[]}}`, ""},
	{"passwd a FIFO", func(_ *place, root string) error { return special(root+"/etc/passwd", unix.S_IFIFO) }, `{}`, ""},
	{"passwd a link to an endless file", relink("etc/passwd", "/dev/zero"), `{}`, ""},
	{"passwd a link to a FIFO outside", func(p *place, root string) error { return relink("etc/passwd", p.Path("fifo"))(p, root) }, `{}`, ""},
	{"passwd with a NUL", func(_ *place, root string) error {
		return os.WriteFile(root+"/etc/passwd", []byte("root:x:0:0:root:/a\x00b:/bin/sh\n"), 0o644)
	}, `{}`, ""},
	{"root a link to /", func(p *place, root string) error { return os.Symlink("/", p.Path("link")) },
		`{"root":{"path":"@DIR/link","readonly":true},"process":{"args":["/bin/true"]}}`, ""},
	{"executable a link to outside", nil, processWith(`"args":["/chained"]`), "/process/args/0"},
	{"executable by way of procfs", nil, processWith(`"args":["/proc/self/fd/3"]`), "/process/args/0"},
	{"hook behind a link", relink("hook", "@OUT/keep"), hook("createContainer", `"path":"/hook"`), "/hooks/createContainer/0"},
	{"nothing in it", func(_ *place, root string) error {
		if err := os.RemoveAll(root); err != nil {
			return err
		}
		return os.Mkdir(root, 0o755)
	}, `{}`, "/process/args/0"},
}

// relink replaces a part of the root filesystem by a link; @OUT stands for the directory outside.
func relink(name, target string) func(*place, string) error {
	return func(p *place, root string) error {
		if err := os.RemoveAll(root + "/" + name); err != nil {
			return err
		}
		return os.Symlink(strings.ReplaceAll(target, "@OUT", p.outside), root+"/"+name)
	}
}

func special(path string, kind uint32) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return unix.Mknod(path, kind|0o666, 0)
}

func TestTraps(t *testing.T) {
	for _, tc := range traps {
		t.Run(tc.name, func(t *testing.T) {
			p := newPlace(t)
			c := p.Container(harness.Args("true"))
			p.fifo("fifo")
			p.hostileRootfs(c.Rootfs)
			if tc.set != nil {
				p.Must(tc.set(p, c.Rootfs))
			}
			c.WriteConfig(patched(t, config(t, c), strings.ReplaceAll(tc.patch, "@DIR", p.Dir)))
			if tc.want != "" {
				p.refused(c.Run(), tc.want)
				p.refused(c.Create(), tc.want)
				return
			}
			c.Run().OK(p.Env)
			p.nothingLeft()
			c.Create().OK(p.Env)
			p.untouched()
			c.Delete().OK(p.Env)
			p.nothingLeft()
		})
	}
}

// What is masked or made read-only through a link is the container's, and stays as it is for all others.
func TestMaskedLinkOutside(t *testing.T) {
	p := newPlace(t)
	c := p.Container(harness.Sh("cat /mounted/keep; : >/mounted/keep"))
	p.hostileRootfs(c.Rootfs)
	p.Must(os.Mkdir(c.Rootfs+"/mounted", 0o755))
	harness.Mounted("/mounted", "bind", p.outside, "bind", "ro")(c.Spec)
	c.Spec.Linux.MaskedPaths = append(c.Spec.Linux.MaskedPaths, "/absolute/keep", "/mounted/keep")
	c.WriteSpec()
	// A masked file is /dev/null: nothing to read, and writing to it is lost.
	if r := c.Run(); r.Stdout != "" {
		t.Error(r)
	}
	p.nothingLeft()
}

// An unknown capability, and one that the kernel cannot give, are warnings.
func TestUnknownCapability(t *testing.T) {
	p := newPlace(t)
	c := p.Container(harness.Args("true"), func(s *specs.Spec) {
		s.Process.Capabilities.Bounding = append(s.Process.Capabilities.Bounding, "CAP_FLY")
	})
	c.Run().OK(p.Env)
	if level, message := p.lastLogged(); level != "warning" || !strings.Contains(message, "CAP_FLY") {
		t.Errorf("logged: %s: %s", level, message)
	}
	p.nothingLeft()
}
