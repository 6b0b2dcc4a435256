package attacks

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// A column is a runtime and how it is asked for the container.
type column struct {
	name string
	// peer is the program of another runtime; "": bailey.
	peer string
	// userns: the configuration asks for a user namespace; auto: bailey is asked for one.
	userns, auto bool
	flags        []string
}

func (c *column) bailey() bool { return c.peer == "" }

// nested reports whether the container has a user namespace.
func (c *column) hasUserns() bool { return c.userns || c.auto }

var columns = []column{
	{name: "bailey"},
	{name: "bailey `--userns auto`", auto: true, flags: []string{"--userns", "auto"}},
	{name: "bailey `--seal always`", flags: []string{"--seal", "always"}},
	{name: "bailey `--userns auto --seal always`", auto: true, flags: []string{"--userns", "auto", "--seal", "always"}},
	{name: "runc", peer: "runc"},
	{name: "runc, user namespace", peer: "runc", userns: true},
	{name: "crun", peer: "crun"},
	{name: "crun, user namespace", peer: "crun", userns: true},
}

// A payload is who attacks.
type payload struct {
	title string
	user  uint32
	caps  []string
}

var payloads = []payload{
	{"An ordinary user without capabilities", 1000, nil},
	{"Root without capabilities", 0, nil},
	{"Root with CAP_SYS_ADMIN", 0, []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_NET_ADMIN", "CAP_MKNOD", "CAP_KILL", "CAP_SETUID", "CAP_SETGID"}},
}

// change makes a configuration the payload's and the column's.
func change(col *column, p *payload) harness.Change {
	return func(s *specs.Spec) {
		if col.userns {
			harness.UserNamespace(s)
		}
		caps := p.caps
		if len(caps) > 0 && col.hasUserns() {
			// Without a user namespace its limits are the machine's, and many machines do not have it to give.
			caps = append([]string{"CAP_SYS_RESOURCE"}, caps...)
		}
		// Empty, not absent: what that means the runtimes do not agree upon.
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: append([]string{}, caps...), Permitted: caps, Effective: caps}
		s.Process.User = specs.User{UID: p.user, GID: p.user}
		// What it would forbid is to be seen.
		s.Process.NoNewPrivileges = false
	}
}

// available reports whether the column's runtime is installed.
func (c *column) available() bool {
	if c.bailey() {
		return true
	}
	_, err := exec.LookPath(c.peer)
	return err == nil
}

// version returns name and version of a peer.
func version(t testing.TB, peer string) string {
	line, _, _ := strings.Cut(harness.Tool(t, "", peer, "--version"), "\n")
	return strings.Replace(line, " version", "", 1)
}
