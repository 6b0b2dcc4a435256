package debian

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/cli"
	"github.com/bailey-oci/bailey/tests/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

const module = "../.."

// need skips a test where a program is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if !harness.HasTool(p) {
			t.Skipf("no %s; run: scripts/install-deps test", p)
		}
	}
}

// What git says becomes versions that dpkg sorts as they come.
func TestVersion(t *testing.T) {
	need(t, "dpkg")
	before := "0~~"
	for _, c := range []struct{ described, epoch, want string }{
		{"abcdef0", "1700000000", "0~20231114221320.abcdef0-1"},
		{"0123456", "1700000001", "0~20231114221321.0123456-1"},
		{"0123456-dirty", "1700000001", "0~20231114221321.0123456+dirty-1"},
		{"v0.1.0-rc.1", "1", "0.1.0~rc.1-1"},
		{"v0.1.0-rc.1-2-gabcdef0", "1", "0.1.0~rc.1+2.gabcdef0-1"},
		{"v0.1.0-rc.2", "1", "0.1.0~rc.2-1"},
		{"v0.1.0", "1", "0.1.0-1"},
		{"v0.1.0-9-gabcdef0", "1", "0.1.0+9.gabcdef0-1"},
		{"v0.1.0-10-g0abcdef", "1", "0.1.0+10.g0abcdef-1"},
		{"v0.1.1", "1", "0.1.1-1"},
		{"v0.10.0", "1", "0.10.0-1"},
	} {
		got := strings.TrimSpace(harness.Tool(t, "", "env", "SOURCE_DATE_EPOCH="+c.epoch, module+"/scripts/deb", "--version", c.described))
		if got != c.want {
			t.Errorf("%s is %s, want %s", c.described, got, c.want)
		}
		harness.Tool(t, "", "dpkg", "--compare-versions", before, "lt", got)
		before = got
	}
}

// The package, made twice in other places under other circumstances, is the same; and whoever installs, uses and removes it has
// what it promises, and then nothing.
func TestPackage(t *testing.T) {
	need(t, "dpkg-deb", "git", "make", "mmdebstrap")
	e := harness.New(t, harness.ShortViews()[0])

	source, deb := makeTwice(t)
	checkPackage(t, deb)
	checkInstall(t, source)

	root := filepath.Join(e.Dir, "debian")
	newRoot(t, root)
	harness.Tool(t, "", "cp", deb, root+"/srv/bailey.deb")
	e.Must(os.MkdirAll(root+"/srv/bundle/rootfs/bin", 0o755))
	harness.Tool(t, "", "cp", "/bin/busybox", root+"/srv/bundle/rootfs/bin/sh")
	harness.Tool(t, "", "cp", "testdata/visit", root+"/srv/visit")
	t.Log(e.Tool("unshare", "--mount", "--propagation", "private", "sh", "-euc", `
		mount --bind "$1" "$1"
		for d in proc sys dev; do mount --rbind /$d "$1/$d"; done
		mount -t tmpfs -o mode=755 tmpfs "$1/run"
		cd "$1"
		pivot_root . .
		umount -l .
		exec chroot . env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin bash /srv/visit "$2"`, "sh", root, e.ID))
}

// makeTwice makes the package from two copies of the source, and returns one of them with what it is in.
func makeTwice(t *testing.T) (source, deb string) {
	t.Helper()
	if _, err := os.Stat(module + "/.git"); err != nil {
		t.Skip("not a checkout of git's: ", err)
	}
	list := harness.Tool(t, "", "git", "-C", module, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	var packages []string
	for _, how := range []struct{ dir, umask, zone string }{{"a", "022", "UTC"}, {"another", "077", "Asia/Tokyo"}} {
		dir := filepath.Join(t.TempDir(), how.dir)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		harness.Tool(t, list, "sh", "-euc", `tar -C "$1" --null -T - -c | tar -C "$2" -x`, "sh", module, dir)
		// A weak compression, for it is what takes the time.
		harness.Tool(t, "", "env", "TZ="+how.zone, "SOURCE_DATE_EPOCH=1700000000", "DPKG_DEB_COMPRESSOR_LEVEL=1", "MAKEFLAGS=",
			"sh", "-euc", `umask "$1"; exec make -C "$2" deb VERSION=v1.2.3-4-gabcdef0`, "sh", how.umask, dir)
		found, _ := filepath.Glob(dir + "/build/*.deb")
		if len(found) != 1 || !strings.HasPrefix(filepath.Base(found[0]), "bailey_1.2.3+4.gabcdef0-1_") {
			t.Fatalf("made: %v", found)
		}
		packages = append(packages, found[0])
	}
	harness.Tool(t, "", "cmp", packages[0], packages[1])
	return filepath.Dir(filepath.Dir(packages[0])), packages[0]
}

// checkPackage has Debian's own checks look at a package, where they are installed.
func checkPackage(t *testing.T, deb string) {
	t.Helper()
	if harness.HasTool("lintian") {
		harness.Tool(t, "", "lintian", "--allow-root", "--fail-on", "warning", deb)
	} else {
		t.Log("not checked: no lintian")
	}
}

// checkInstall installs from a source that has been built, below another directory and prefix than the usual, and takes
// everything back.
func checkInstall(t *testing.T, source string) {
	t.Helper()
	dest := t.TempDir()
	other := dest + "/opt/it/share/man/man8/other.8"
	if err := os.MkdirAll(filepath.Dir(other), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	files := func() string { return harness.Tool(t, "", "find", dest, "-type", "f", "-printf", "%m %P\n") }
	harness.Tool(t, "", "make", "-C", source, "install", "DESTDIR="+dest, "PREFIX=/opt/it")
	installed := files()
	for _, want := range []string{
		"755 opt/it/sbin/bailey", "755 opt/it/bin/containerd-shim-bailey-v2", "644 opt/it/share/bash-completion/completions/bailey",
		"644 opt/it/share/doc/bailey/examples/policy.example.toml", "644 opt/it/share/man/man5/bailey-policy.toml.5",
		"644 opt/it/share/man/man8/containerd-shim-bailey-v2.8", "644 opt/it/share/man/man8/bailey.8",
		"644 opt/it/share/man/man8/bailey-run.8",
	} {
		if !strings.Contains(installed, want+"\n") {
			t.Errorf("not installed: %s", want)
		}
	}
	// Two programs, a page for each command and for three other things, completion, an example, and the other's page.
	if n, commands := strings.Count(installed, "\n"), len(cli.Manual())-1; n != 2+commands+3+2+1 {
		t.Errorf("%d files for %d commands:\n%s", n, commands, installed)
	}
	harness.Tool(t, "", "make", "-C", source, "uninstall", "DESTDIR="+dest, "PREFIX=/opt/it")
	if left := files(); left != "644 opt/it/share/man/man8/other.8\n" {
		t.Errorf("left:\n%s", left)
	}
}

// newRoot unpacks a minimal Debian 12 in a directory, which is made once.
func newRoot(t *testing.T, dir string) {
	t.Helper()
	tar, err := filepath.Abs(module + "/build/debian/bookworm.tar")
	if err != nil {
		t.Fatal(err)
	}
	if unix.Access(tar, unix.R_OK) != nil {
		made := filepath.Join(filepath.Dir(tar), "new.tar")
		if err := os.MkdirAll(filepath.Dir(tar), 0o755); err != nil {
			t.Fatal(err)
		}
		// A mirror may be older than what it says of itself is good for; the signature is checked all the same. What is mounted
		// for it is not to be seen by other tests.
		harness.Tool(t, "", "unshare", "--mount", "--propagation", "private", "mmdebstrap", "--quiet", `--aptopt=Acquire::Check-Valid-Until "false"`, "--variant=minbase", "bookworm", made)
		if err := os.Rename(made, tar); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	harness.Tool(t, "", "tar", "-C", dir, "-xf", tar, "--exclude=./dev/*")
}
