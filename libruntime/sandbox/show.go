package sandbox

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// programs are the directories that programs, their libraries and their settings are in.
var programs = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix/store", "/gnu/store"}

// kernels are directories whose content is the kernel's or of daemons that run now. Nothing of them is shown.
var kernels = []string{"/proc", "/sys", "/dev", "/run", "/var/run"}

// crowds are directories that hold what belongs to many, of which the working directory is not a part by accident.
var crowds = []string{"/root", "/home", "/tmp", "/var/tmp", "/var/lib", "/var/log", "/var/cache", "/var/spool", "/boot", "/mnt", "/media", "/srv"}

// show decides what the command sees.
func (b *builder) show() error {
	b.programs()
	b.fresh()
	cwd, err := unixGetwd()
	if err != nil {
		cwd = "/" // removed, or out of reach
	}
	b.showHome()
	if err := b.given(); err != nil {
		return err
	}
	if b.cwd = b.o.Cwd; b.cwd != "" {
		if !path.IsAbs(b.cwd) {
			b.cwd = cwd + "/" + b.cwd
		}
		b.cwd = path.Clean(b.cwd)
		return nil
	}
	b.cwd = cwd
	if b.view.shown(cwd) || cwd == b.home {
		return nil
	}
	if b.ordinary(cwd) {
		var st unix.Stat_t
		if err := unix.Stat(cwd, &st); b.root && err == nil && st.Mode&0o001 == 0 {
			return &fault.Error{Step: "show " + cwd + " in the sandbox, where the command is to start", Err: unix.EACCES,
				Cause:  fmt.Sprintf("the directory (mode %04o) is closed to others, and the command is another user than its owner", st.Mode&0o7777),
				Remedy: "--ro . or --rw . for a command that is to have it as its owner has, --cwd / for one that does not need it"}
		}
		b.view.show(cwd, b.root, "rro")
		b.note("read-only: " + cwd + ", the working directory")
		return nil
	}
	if e, ok := b.view[cwd]; !ok || e.host {
		b.cwd = b.home
		b.note("working directory: " + b.home + ", since " + cwd + " is not shown")
	}
	return nil
}

// ordinary reports whether a directory is one that may be shown because the caller works in it: part of none of the kernel's, and
// nothing that holds homes or the data of services as a whole.
func (b *builder) ordinary(dir string) bool {
	for _, k := range kernels {
		if within(dir, k) {
			return false
		}
	}
	for _, c := range append(crowds[:len(crowds):len(crowds)], b.home) {
		if within(c, dir) {
			return false
		}
	}
	return path.Dir(dir) != "/home"
}

// programs shows the machine's, as they are there.
func (b *builder) programs() {
	for _, dir := range programs {
		var st unix.Stat_t
		if unix.Lstat(dir, &st) != nil {
			continue
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			b.view.link(dir)
		case unix.S_IFDIR:
			b.view.show(dir, b.root, "rro")
		}
	}
	if b.o.HostNetwork {
		// Which name servers there are is said where a link of /etc leads to.
		const resolver = "/etc/resolv.conf"
		if target, err := resolved(resolver); err == nil && !b.view.shown(target) {
			b.view.show(target, b.root, "rro")
		}
	}
}

// fresh are the filesystems that the sandbox has to itself.
func (b *builder) fresh() {
	v := b.view
	v.fresh("/proc", "proc", "nosuid", "noexec", "nodev")
	v.fresh("/dev", "tmpfs", "nosuid", "noexec", "mode=0755", "size=64k")
	v.fresh("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620")
	v.empty("/dev/shm", "noexec", "mode=1777", "size=64m")
	if !b.o.HostNetwork {
		// The kernel shows the devices of a network only to its owner.
		v.fresh("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro")
	}
	v.empty("/tmp", "mode=1777", "size=512m")
	v.empty("/var/tmp", "mode=1777", "size=512m")
	v.empty("/run", "mode=1777", "size=16m")
	if _, err := os.Readlink("/var/run"); err == nil {
		v.link("/var/run")
	}
}

// showHome gives the command a home directory of the same name: an empty one, or the caller's.
func (b *builder) showHome() {
	home := path.Clean(os.Getenv("HOME"))
	if home == "/" || !path.IsAbs(home) {
		home = "/tmp"
	}
	for _, dir := range append(kernels, programs...) {
		if within(dir, home) || within(home, dir) {
			home = "/tmp" // the homes that services have
		}
	}
	if b.home = home; home == "/tmp" {
		return
	}
	if b.o.Home {
		if real, err := resolved(home); err == nil {
			b.view.show(real, false, "rro")
			b.home = real
			b.note("read-only: " + real + ", your home directory")
			return
		}
	}
	user := "uid=0"
	group := "gid=0"
	if ids, err := parseUser(b.o.User); err == nil {
		user, group = "uid="+decimal(uint64(ids[0])), "gid="+decimal(uint64(ids[1]))
	}
	b.view.empty(home, "mode=0700", "size=64m", user, group)
}

// given shows what was asked for by name.
func (b *builder) given() error {
	for _, dir := range b.o.Temporary {
		p, err := filepath.Abs(dir)
		if err != nil || b.forbidden(p) {
			return b.notShown("tmp", dir)
		}
		b.view.empty(p, "mode=1777", "size=512m")
		b.note("empty: " + p)
	}
	for _, g := range []struct {
		flag, option, word string
		dirs               []string
	}{{"ro", "rro", "read-only", b.o.ReadOnly}, {"rw", "rw", "shared, to be written to", b.o.Writable}} {
		for _, dir := range g.dirs {
			p, err := resolved(dir)
			if err != nil {
				return &fault.Error{Step: "show " + dir + " in the sandbox", Origin: "--" + g.flag, Err: err}
			}
			if b.forbidden(p) {
				return b.notShown(g.flag, dir)
			}
			b.view.show(p, false, g.option)
			b.note(g.word + ": " + p)
		}
	}
	return nil
}

// forbidden reports whether a directory is none that can be shown.
func (b *builder) forbidden(dir string) bool {
	for _, k := range []string{"/proc", "/sys", "/dev"} {
		if within(dir, k) || within(k, dir) {
			return true
		}
	}
	return false
}

func (b *builder) notShown(flag, dir string) error {
	return &fault.Error{Step: "show " + dir + " in the sandbox", Origin: "--" + flag, Err: unix.EPERM,
		Cause:  "it has the machine's /proc, /sys or /dev in it, or lies in one of them: whoever sees them is in no sandbox",
		Remedy: "name the directories that are needed; of these three the sandbox has its own"}
}

// executable refuses a command by path that is on the machine and not in the sandbox, which would end in nothing but "no such file".
func (b *builder) executable() error {
	name := b.o.Args[0]
	if !strings.Contains(name, "/") {
		return nil
	}
	p := name
	if !path.IsAbs(p) {
		p = b.cwd + "/" + p
	}
	p = path.Clean(p)
	if b.view.shown(p) {
		return nil
	}
	target, err := resolved(p)
	if e, ok := b.view.at(p); err == nil && !(ok && e.link && b.view.shown(target)) {
		return &fault.Error{Step: "execute " + strconv.Quote(name), Err: unix.ENOENT,
			Cause:  p + " is on this machine, but not in the sandbox, which shows programs, settings and the working directory",
			Remedy: "bailey try --ro " + path.Dir(target) + " " + name}
	}
	return nil // if there is no such file the start says so
}

// resolved returns the path that a path of the caller's leads to, without symbolic links: where it is in the sandbox, too, and
// nothing there can lead elsewhere.
func resolved(p string) (string, error) {
	//nolint:forbidigo // the caller's own view of the machine, in which no container exists yet
	fd, err := unix.Open(p, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
}

// unixGetwd is the working directory as the kernel has it, not as $PWD says.
func unixGetwd() (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Getcwd(buf)
	if err != nil {
		return "", err
	}
	dir := string(buf[:n-1])
	if !path.IsAbs(dir) {
		return "", unix.ENOENT // "(unreachable)"
	}
	return dir, nil
}
