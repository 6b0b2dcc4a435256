package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// UserID is the ID of ordinary users, and of their group. SubIDs is the first of their SubCount subordinate IDs.
const UserID, SubIDs, SubCount = 54321, 70000, 65536

// User returns what a command of an ordinary user of the machine that the Env shows is started with. uids and gids are the lines
// of /etc/subuid and /etc/subgid that are added for the user, whose name is bailey-test, and others.
func (e *Env) User(uids, gids string) Options {
	e.T.Helper()
	for name, lines := range map[string]string{
		"passwd": fmt.Sprintf("bailey-test:x:%d:%d::%s:/bin/sh\n", UserID, UserID, e.Dir),
		"group":  fmt.Sprintf("bailey-test:x:%d:\n", UserID), "subuid": uids, "subgid": gids,
	} {
		have, _ := os.ReadFile("/etc/" + name)
		e.Cover("/etc/"+name, e.WriteFile(name, string(have)+lines, 0o644))
	}
	e.WriteFile("log.json", "", 0o666)
	e.Must(os.Mkdir(e.Path("own"), 0o755))
	e.Must(os.Chown(e.Path("own"), UserID, UserID))
	e.Must(os.Chown(e.Root, UserID, UserID))
	return Options{Credential: &syscall.Credential{Uid: UserID, Gid: UserID}, Env: []string{"XDG_RUNTIME_DIR=" + e.Root}}
}

// Granted is the line that grants the user of User its subordinate IDs.
func Granted() string { return fmt.Sprintf("bailey-test:%d:%d\n", SubIDs, SubCount) }

// Cover mounts a file or directory over another, for the Env alone.
func (e *Env) Cover(path, by string) {
	e.T.Helper()
	e.Do(func() {
		if err := unix.Mount(by, path, "", unix.MS_BIND, ""); err != nil {
			e.T.Errorf("%s: %v", path, err)
		}
	})
	e.Mounted()
}

// OwnedBy gives a container's bundle to a user.
func (c *Container) OwnedBy(id int) {
	c.Env.T.Helper()
	c.Env.Must(filepath.WalkDir(c.Bundle, func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Base(path) == "busybox" || filepath.Base(path) == "probe" {
			return err // links to files that all tests share
		}
		return os.Lchown(path, id, id)
	}))
}
