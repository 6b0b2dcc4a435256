package policy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// place makes a directory that only its owner can write to, with a policy in it, and returns both paths.
func place(t *testing.T, text string) (dir, path string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "bailey")
	path = filepath.Join(dir, "policy.toml")
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, path
}

func needRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a machine's policy is root's")
	}
}

func TestLoad(t *testing.T) {
	needRoot(t)
	_, system := place(t, "[defaults]\nseal = \"auto\"\nuserns = \"require\"\n")
	_, user := place(t, "[defaults]\nseal = \"always\"\n")
	missing := filepath.Join(t.TempDir(), "none", "policy.toml")
	for name, tc := range map[string]struct {
		paths Paths
		want  string
	}{
		"none":        {Paths{}, "nil"},
		"no file":     {Paths{missing, missing}, "nil"},
		"no path":     {Paths{User: "/dev/null/bailey/policy.toml"}, "nil"},
		"system":      {Paths{System: system}, "userns=require by defaults (" + system + ":3)\nseal=auto by defaults (" + system + ":2)"},
		"user":        {Paths{missing, user}, "seal=always by defaults (" + user + ":2)"},
		"both":        {Paths{system, user}, "userns=require by defaults (" + system + ":3)\nseal=always by defaults (" + user + ":2)"},
		"one as both": {Paths{user, user}, "seal=always by defaults (" + user + ":2)"},
	} {
		p, err := Load(tc.paths)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p == nil {
			if tc.want != "nil" {
				t.Errorf("%s: no policy", name)
			}
			continue
		}
		if d, err := p.Decide(onRoot, Asked{}); err != nil || told(d) != tc.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, told(d), tc.want)
		}
	}
}

// A policy that is there and cannot be used keeps containers from starting.
func TestLoadFailsClosed(t *testing.T) {
	needRoot(t)
	for name, tc := range map[string]struct {
		spoil func(dir, path string) error
		want  string
	}{
		"wrong":          {func(_, p string) error { return os.WriteFile(p, []byte("[defaults]\nx = 1\ny = 2"), 0o644) }, `:2: defaults: unknown key "x"`},
		"too large":      {func(_, p string) error { return os.Truncate(p, MaxSize+1) }, "it has more than 65536 bytes"},
		"group writes":   {func(_, p string) error { return os.Chmod(p, 0o664) }, "has the mode 0664: others than its owner"},
		"others write":   {func(_, p string) error { return os.Chmod(p, 0o646) }, "mode 0646"},
		"others' file":   {func(_, p string) error { return os.Chown(p, 1234, 0) }, "policy.toml is user 1234's"},
		"directory":      {func(d, _ string) error { return os.Chmod(d, 0o775) }, "bailey has the mode 0775"},
		"others' dir":    {func(d, _ string) error { return os.Chown(d, 1234, 0) }, "bailey is user 1234's"},
		"dir above":      {func(d, _ string) error { return os.Chown(filepath.Dir(d), 1234, 0) }, "is user 1234's"},
		"no file":        {func(_, p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o755)) }, "it is not a regular file"},
		"a FIFO":         {func(_, p string) error { return errors.Join(os.Remove(p), unix.Mkfifo(p, 0o644)) }, "it is not a regular file"},
		"a device":       {func(_, p string) error { return errors.Join(os.Remove(p), os.Symlink("/dev/zero", p)) }, "/dev/zero has the mode 0666"},
		"link to none":   {func(_, p string) error { return errors.Join(os.Remove(p), os.Symlink("none", p)) }, "ENOENT"},
		"link to itself": {func(_, p string) error { return errors.Join(os.Remove(p), os.Symlink("policy.toml", p)) }, "ELOOP"},
		"others' link": {func(d, p string) error {
			other := filepath.Join(d, "other")
			return errors.Join(os.Rename(p, other), os.Symlink("other", p), os.Lchown(p, 1234, 0))
		}, "policy.toml is user 1234's"},
		"link to others'": {func(d, p string) error {
			other := filepath.Join(d, "other")
			return errors.Join(os.Mkdir(other, 0o777), os.Chmod(other, 0o777), os.Rename(p, other+"/p"), os.Symlink("other/p", p))
		}, "other has the mode 0777"},
		"file as directory": {func(d, p string) error {
			return errors.Join(os.RemoveAll(d), os.WriteFile(d, nil, 0o644))
		}, "ENOTDIR"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, path := place(t, "[defaults]\nseal = \"auto\"\n")
			if err := tc.spoil(dir, path); err != nil {
				t.Fatal(err)
			}
			p, err := Load(Paths{System: path})
			if f := (*fault.Error)(nil); p != nil || !errors.As(err, &f) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, %v; want %q", p, err, tc.want)
			}
		})
	}
}

func TestLoadThroughLinks(t *testing.T) {
	needRoot(t)
	dir, path := place(t, "[defaults]\nseal = \"auto\"\n")
	real := filepath.Join(dir, "store", "p")
	err := errors.Join(os.Mkdir(filepath.Dir(real), 0o755), os.Chmod(filepath.Dir(real), 0o777|os.ModeSticky), os.Rename(path, real),
		os.Symlink("./../bailey//store/../store/p", filepath.Join(dir, "second")), os.Symlink(filepath.Join(dir, "second"), path))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := Load(Paths{System: path}); err != nil || p == nil {
		t.Error(err)
	}
}

// A user's own file may be the user's, and nobody else's.
func TestOwners(t *testing.T) {
	for name, tc := range map[string]struct {
		by   owners
		uid  uint32
		mode uint32
		ok   bool
	}{
		"root's":            {owners{0}, 0, unix.S_IFREG | 0o644, true},
		"user's for root":   {owners{0}, 5, unix.S_IFREG | 0o644, false},
		"user's own":        {owners{0, 5}, 5, unix.S_IFREG | 0o600, true},
		"root's for a user": {owners{0, 5}, 0, unix.S_IFREG | 0o600, true},
		"another's":         {owners{0, 5}, 6, unix.S_IFREG | 0o600, false},
		"sticky directory":  {owners{0}, 0, unix.S_IFDIR | 0o1777, true},
		"open directory":    {owners{0}, 0, unix.S_IFDIR | 0o777, false},
		"sticky file":       {owners{0}, 0, unix.S_IFREG | 0o1666, false},
		"link":              {owners{0}, 0, unix.S_IFLNK | 0o777, true},
	} {
		if err := tc.by.check("/p", &unix.Stat_t{Uid: tc.uid, Mode: tc.mode}); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDefaultPaths(t *testing.T) {
	if os.Geteuid() == 0 {
		if p := DefaultPaths(); p.System != System {
			t.Errorf("%+v", p)
		}
		t.Skip("root has no file of its own")
	}
	for _, tc := range []struct{ xdg, home, want string }{
		{"/x", "/h", "/x/bailey/policy.toml"},
		{"", "/h", "/h/.config/bailey/policy.toml"},
		{"relative", "/h", "/h/.config/bailey/policy.toml"},
		{"", "", ""},
	} {
		t.Setenv("XDG_CONFIG_HOME", tc.xdg)
		t.Setenv("HOME", tc.home)
		if p := DefaultPaths(); p.User != tc.want || p.System != System {
			t.Errorf("%+v: %+v", tc, p)
		}
	}
}

// What every start pays on a machine without a policy.
func BenchmarkNoPolicy(b *testing.B) {
	annotations := map[string]string{"io.kubernetes.cri.container-type": "container", "org.opencontainers.image.stopSignal": "15"}
	b.ReportAllocs()
	for b.Loop() {
		p, err := Load(Paths{System: "/etc/bailey-no-such/policy.toml"})
		if err != nil {
			b.Fatal(err)
		}
		d, err := p.Decide(Facts{Annotations: annotations, Bundle: "/b", Rootfs: "/r"}, Asked{})
		if err != nil || !d.IsZero() {
			b.Fatal(err)
		}
	}
}

func BenchmarkPolicy(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		p, err := Parse("p.toml", []byte(everything))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.Decide(onRoot, Asked{}); err != nil {
			b.Fatal(err)
		}
	}
}
