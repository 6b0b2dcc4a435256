package userns

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// userID is the ordinary user's.
const userID = 54321

// asUser makes an ordinary user of the machine, with the Env's subordinate IDs, and returns how that user calls bailey.
func asUser(e *harness.Env, count uint32) harness.Options {
	e.T.Helper()
	for file, line := range map[string]string{"/etc/passwd": fmt.Sprintf("bailey-test:x:%d:%d::%s:/bin/sh\n", userID, userID, e.Dir),
		"/etc/group": fmt.Sprintf("bailey-test:x:%d:\n", userID)} {
		have, err := os.ReadFile(file)
		e.Must(err)
		e.WriteMachine(file, string(have)+line)
	}
	e.WithAccount("bailey-test", count)
	e.WriteFile("log.json", "", 0o666)
	home := e.Path("home")
	e.Must(os.Mkdir(home, 0o755))
	e.Must(os.Chown(home, userID, userID))
	e.Must(os.Chown(e.Root, userID, userID))
	return harness.Options{Credential: &syscall.Credential{Uid: userID, Gid: userID}, Env: []string{"XDG_RUNTIME_DIR=" + e.Root, "HOME=" + home}}
}

// ofUser makes a bundle that is the user's.
func ofUser(e *harness.Env, changes ...harness.Change) *harness.Container {
	e.T.Helper()
	c := e.Container(append(slices.Clone(changes), func(s *specs.Spec) {
		s.Linux.CgroupsPath, s.Linux.Resources = "", nil
	})...)
	e.Must(filepath.WalkDir(c.Bundle, func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Base(path) == "busybox" || filepath.Base(path) == "probe" {
			return err
		}
		return os.Lchown(path, userID, userID)
	}))
	return c
}

// runOfUser runs a container of the user's, which is deleted in the end, and returns the process ID of its init.
func runOfUser(e *harness.Env, o harness.Options, c *harness.Container, flags ...string) int {
	e.T.Helper()
	file := e.Path("home/" + c.ID)
	args := append([]string{"run", "--detach", "--pid-file", file, "--bundle", c.Bundle}, flags...)
	e.T.Cleanup(func() { e.Run(o, "delete", "--force", c.ID) })
	e.Run(o, append(args, c.ID)...).OK(e)
	return e.PIDFile(file)
}

// An ordinary user's containers have the user for root, and other IDs from a ledger of the user's own, no two the same.
func TestOrdinaryUser(t *testing.T) {
	e := newEnv(t)
	o := asUser(e, harness.AccountSize)
	maps := make(map[string][]idMap)
	var list []*harness.Container
	for range 3 {
		c := ofUser(e)
		list = append(list, c)
		pid := runOfUser(e, o, c, "--userns", "auto:size=5000")
		for _, file := range []string{"uid_map", "gid_map"} {
			m := liveMap(pid, file)
			if len(m) != 2 || m[0] != (idMap{0, userID, 1}) || m[1].inside != 1 || m[1].size != 4999 {
				t.Fatalf("%s: %v", file, m)
			}
			maps[c.ID] = m[1:]
		}
		if got := e.Run(o, c.ExecArgs([]string{"--user", "1000"}, "id", "-u")...).OK(e); got != "1000\n" {
			t.Errorf("exec: %q", got)
		}
	}
	disjoint(e, maps)
	if got := strings.Count(e.Run(o, "ids", "list").OK(e), " held "); got != 3 {
		t.Errorf("%d ranges are held", got)
	}
	if _, err := os.Stat(e.Path("home/.local/share/bailey/ids")); err != nil {
		t.Error(err)
	}
	for _, c := range list {
		e.Run(o, "delete", "--force", c.ID).OK(e)
	}
	if out := e.Run(o, "ids", "list").OK(e); strings.Contains(out, " held ") {
		t.Errorf("held: %s", out)
	}
	if r := e.Run(o, "ids", "check"); r.Code != 0 {
		t.Error(r)
	}
}

// Without subordinate IDs, and without the programs that may write such maps, an ordinary user is told what is missing.
func TestOrdinaryUserWithout(t *testing.T) {
	e := newEnv(t)
	o := asUser(e, 0)
	c := ofUser(e)
	e.Run(o, "create", "--userns", "auto", "--bundle", c.Bundle, c.ID).Fails(e, "/etc/subuid", fmt.Sprintf("account %d", userID), "bailey ids setup")
	e.WithAccount("bailey-test", harness.AccountSize)
	for _, program := range []string{"newuidmap", "newgidmap"} {
		var path string
		for _, dir := range []string{"/usr/bin/", "/bin/"} {
			if _, err := os.Stat(dir + program); err == nil {
				path = dir + program
			}
		}
		do(e, func() error { return unix.Mount("/dev/null", path, "", unix.MS_BIND, "") })
		e.Mounted()
		e.Run(o, "create", "--userns", "auto", "--bundle", c.Bundle, c.ID).Fails(e, program)
		e.CheckNothingLeft()
		e.Tool("umount", path)
		e.Mounted()
	}
	if out := e.Run(o, "ids", "list").OK(e); strings.Contains(out, " held ") {
		t.Errorf("held: %s", out)
	}
	// The machine's policy is the user's, too, and a policy of the user's own adds to it.
	e.WithPolicy("[defaults]\nuserns_size = 2000\n")
	e.Must(os.MkdirAll(e.Path("home/.config/bailey"), 0o755))
	e.WriteFile("home/.config/bailey/policy.toml", "[defaults]\nuserns = \"auto\"\nuserns_size = 9000\n", 0o644)
	if m := liveMap(runOfUser(e, o, c), "uid_map"); len(m) != 2 || m[1].size != 1999 {
		t.Errorf("%v", m)
	}
	e.Run(o, "delete", "--force", c.ID).OK(e)
}
