package lifecycle

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// newAccounts returns an Env whose /etc and /var/lib are the test's own, for programs that replace files there. Nobody has
// subordinate IDs.
func newAccounts(t *testing.T) *harness.Env {
	t.Helper()
	e := newEnv(t)
	harness.Tool(t, "", "cp", "-a", "/etc", e.Path("etc"))
	e.WriteFile("etc/subuid", "", 0o644)
	e.WriteFile("etc/subgid", "", 0o644)
	e.Must(os.Mkdir(e.Path("lib"), 0o755))
	e.Do(func() {
		for from, to := range map[string]string{"etc": "/etc", "lib": "/var/lib"} {
			if err := unix.Mount(e.Path(from), to, "", unix.MS_BIND, ""); err != nil {
				t.Errorf("%s: %v", to, err)
			}
		}
	})
	e.Mounted()
	return e
}

// Setting up an account makes the user and its lines with the machine's own programs, once.
func TestIDsSetup(t *testing.T) {
	if _, err := exec.LookPath("usermod"); err != nil {
		t.Skip("no usermod")
	}
	e := newAccounts(t)
	if out := e.Bailey("ids", "setup").OK(e); !strings.Contains(out, "made the system account bailey\n") || !strings.Contains(out, "1024 containers") {
		t.Error(out)
	}
	line := "bailey:1879048192:67108864\n"
	for file, want := range map[string]string{"subuid": line, "subgid": line, "passwd": "\nbailey:x:"} {
		if text, err := os.ReadFile(e.Path("etc/" + file)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %v: %s", file, err, text)
		}
	}
	if out := e.Bailey("ids", "setup").OK(e); !strings.Contains(out, "nothing to do") {
		t.Error(out)
	}
	if out := e.Bailey("ids", "check").OK(e); out != "no problems\n" {
		t.Error(out)
	}
	if out := e.Bailey("ids", "picture").OK(e); !strings.Contains(out, "1879048192-1946157055") {
		t.Error(out)
	}
	// A container whose IDs somebody has made up is found.
	c := e.Container(harness.UserNamespace, func(s *specs.Spec) {
		maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1879050000, Size: 65536}}
		s.Linux.UIDMappings, s.Linux.GIDMappings = maps, maps
	})
	e.Bailey("run", "--detach", "--bundle", c.Bundle, c.ID).OK(e)
	want := fmt.Sprintf("live: process %d (sleep): it maps the IDs 1879050000-1879115535 of account bailey", c.State().PID)
	if r := e.Bailey("ids", "check"); r.Code != 1 || !strings.Contains(r.Stdout, want) {
		t.Errorf("%s\nwant %q", r, want)
	}
	e.Bailey("delete", "--force", c.ID).OK(e)
	if out := e.Bailey("ids", "check").OK(e); out != "no problems\n" {
		t.Error(out)
	}
}

// An ordinary user has a ledger of the own ranges, and may not give itself any.
func TestIDsOfOrdinaryUsers(t *testing.T) {
	u := newUser(t)
	e := u.e
	u.o.Env = append(u.o.Env, "XDG_DATA_HOME="+e.Path("own"))
	if out := u.run("ids", "list").OK(e); !strings.HasPrefix(out, "UIDS ") || strings.Count(out, "\n") != 1 {
		t.Error(out)
	}
	if out := u.run("ids", "picture").OK(e); !strings.HasPrefix(out, fmt.Sprintf("account %d: %d user IDs, ", userID, subCount)) {
		t.Error(out)
	}
	if r := u.run("ids", "check", "--repair"); !strings.HasSuffix(r.Stdout, "no problems\n") && !strings.Contains(r.Stdout, "overlap: ") {
		t.Error(r)
	}
	u.run("ids", "setup").Fails(e, "EPERM", fmt.Sprintf("as root: bailey ids setup --account %d", userID))
}
