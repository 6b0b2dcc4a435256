package libruntime

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const hostPasswd = "/etc/passwd"

// maxPasswd is how much of a passwd file is read, in bytes: the container's own is anything its image likes.
const maxPasswd = 1 << 20

// setHome gives a process without HOME that of its user in the container's passwd file, which read
// returns, or "/" where there is none, as runc does.
func setHome(p *specs.Process, read func() []byte) {
	if p == nil {
		return
	}
	for i, e := range p.Env {
		if home, ok := strings.CutPrefix(e, "HOME="); ok {
			if home == "" {
				p.Env[i] = "HOME=" + passwdHome(read(), int(p.User.UID))
			}
			return
		}
	}
	p.Env = append(p.Env, "HOME="+passwdHome(read(), int(p.User.UID)))
}

// passwdHome returns the home directory of a user, or "/".
func passwdHome(passwd []byte, uid int) string {
	home := "/"
	eachUser(passwd, uid, func(fields []string) {
		if strings.HasPrefix(fields[5], "/") && !strings.ContainsRune(fields[5], 0) {
			home = fields[5]
		}
	})
	return home
}

// passwdName returns the name of a user, or "".
func passwdName(passwd []byte, uid int) (name string) {
	eachUser(passwd, uid, func(fields []string) { name = fields[0] })
	return name
}

// eachUser calls found with the seven fields of the first line for the user.
func eachUser(passwd []byte, uid int, found func([]string)) {
	want := strconv.Itoa(uid)
	for line := range bytes.Lines(passwd) {
		if f := strings.Split(strings.TrimRight(string(line), "\n"), ":"); len(f) == 7 && f[2] == want {
			found(f)
			return
		}
	}
}

// passwdOfBundle returns the passwd file that the container will have: the one that is mounted there, as
// Podman does, or else that of the root filesystem.
func passwdOfBundle(b *bundle) []byte {
	for _, m := range b.spec.Mounts {
		if m.Destination == hostPasswd {
			if m.Source == "" {
				return nil
			}
			return readPasswd(m.Source)
		}
	}
	return passwdIn(b.rootfs())
}

// passwdIn returns the passwd file below root as the processes in root see it: links lead nowhere outside.
func passwdIn(root string) []byte {
	dir, err := openHost(root, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, "etc/passwd", &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil
	}
	return readAll(fd)
}

// readPasswd returns the file at path, or nil.
func readPasswd(path string) []byte {
	fd, err := openHost(path, unix.O_RDONLY)
	if err != nil {
		return nil
	}
	return readAll(fd)
}

// readAll returns what a regular file holds, at most maxPasswd bytes of it, and closes it.
func readAll(fd int) []byte {
	f := os.NewFile(uintptr(fd), "passwd")
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	data := make([]byte, min(info.Size(), maxPasswd))
	n, _ := f.ReadAt(data, 0)
	return data[:n]
}
