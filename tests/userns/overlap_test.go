package userns

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// mappedTo has a user namespace with 1,000 IDs from first on, as an engine makes them up.
func mappedTo(first uint32) harness.Change {
	return harness.All(harness.UserNamespace, func(s *specs.Spec) {
		maps := []specs.LinuxIDMapping{{HostID: first, Size: 1000}}
		s.Linux.UIDMappings, s.Linux.GIDMappings = maps, maps
	})
}

// noAccount returns the first of 500,000 IDs of no account's.
func noAccount(e *harness.Env) uint32 { return 1<<31 + (e.Account()-1<<30)/8 }

// Maps of config.json are compared with what the ledger has given out, with what lives, with users and with accounts.
func TestOverlap(t *testing.T) {
	e := newEnv(t)
	own := e.Container()
	own.RunDetached("--userns", "auto:size=65536").OK(e)
	taken := liveMap(own.PID(), "uid_map")[0].outside
	strangers, accounts := noAccount(e), noAccount(e)+200000
	engines := e.Container(mappedTo(strangers))
	engines.RunDetached().OK(e)
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		e.WriteMachine(file, fmt.Sprintf("bailey:%d:%d\nsomeone:%d:2000\n", e.Account(), harness.AccountSize, accounts))
	}
	for _, tc := range []struct {
		name  string
		first uint32
		texts []string
	}{
		{"the ledger's", taken + 64000, []string{"/linux/uidMappings/0", "container " + own.ID + " (" + e.Root + ")"}},
		{"a live container's", strangers + 500, []string{"/linux/uidMappings/0", "process "}},
		{"users'", 0, []string{"/linux/uidMappings/0", "user daemon"}},
		{"the account's", taken + 65536, []string{"/linux/uidMappings/0", "account bailey"}},
		{"more than another account's", accounts + 1500, []string{"/linux/uidMappings/0", "account someone"}},
	} {
		e.WithPolicy("[[rule]]\nname = \"no sharing\"\nmatch.engine = \"none\"\noverlap = \"refuse\"\n")
		c := e.Container(mappedTo(tc.first))
		for _, command := range []string{"create", "run", "plan"} {
			r := e.Bailey(command, "--bundle", c.Bundle, c.ID)
			r.Fails(e, append(tc.texts, `overlap = "refuse"`, `rule "no sharing"`, "policy.toml:4")...)
			if t.Failed() {
				t.Fatalf("%s: %s", tc.name, command)
			}
		}
		e.WithPolicy("[defaults]\noverlap = \"report\"\n")
		c.Create().OK(e)
		warnings := strings.Join(e.LogWarnings(), "\n")
		for _, text := range tc.texts {
			if !strings.Contains(warnings, text) {
				t.Errorf("%s: no warning with %q in\n%s", tc.name, text, warnings)
			}
		}
		c.Delete("--force").OK(e)
		e.Must(os.Truncate(e.Log, 0))
		e.WithPolicy("[defaults]\noverlap = \"allow\"\n")
		c.Create().OK(e)
		c.Delete("--force").OK(e)
		if warnings := strings.Join(e.LogWarnings(), "\n"); strings.Contains(warnings, "uidMappings") {
			t.Errorf("%s: allowed, and yet: %s", tc.name, warnings)
		}
	}
	e.WithPolicy("[defaults]\noverlap = \"refuse\"\n")
	for name, c := range map[string]*harness.Container{
		"an account's own":          e.Container(mappedTo(accounts + 500)),
		"nobody's":                  e.Container(mappedTo(strangers + 100000)),
		"no namespace of one's own": e.Container(),
	} {
		if r := c.RunDetached(); r.Code != 0 {
			t.Errorf("%s: %s", name, r)
		}
		c.Delete("--force").OK(e)
	}
	// Auto is no map of the engine's, and a namespace that is joined was made by somebody else.
	c := e.Container()
	c.RunDetached("--userns", "auto").OK(e)
	c = e.Container(harness.Joined(specs.UserNamespace, fmt.Sprintf("/proc/%d/ns/user", engines.PID())))
	if r := c.RunDetached(); r.Code != 0 {
		t.Error(r)
	}
}
