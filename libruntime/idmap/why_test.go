package idmap

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime/plan"
)

var (
	alice = grants{file: "/etc/subuid", uid: "1000", name: "alice", own: 1000}
	maps  = []plan.IDMapping{{Container: 0, Host: 1000, Size: 1}, {Container: 1, Host: 100000, Size: 65536}}
)

func TestExplainHelper(t *testing.T) {
	with := func(text string, change func(*helperFacts)) helperFacts {
		f := helperFacts{path: "/usr/bin/newuidmap", mode: unix.S_IFREG | unix.S_ISUID | 0o755, grants: alice}
		f.text = text
		if change != nil {
			change(&f)
		}
		return f
	}
	const good = "alice:100000:65536\n"
	for name, tc := range map[string]struct {
		facts         helperFacts
		cause, remedy string
	}{
		"no reason to be seen":      {with(good, nil), "", ""},
		"file capability instead":   {with(good, func(f *helperFacts) { f.mode, f.fileCaps = 0o755, 1<<unix.CAP_SETUID }), "", ""},
		"no privileges":             {with(good, func(f *helperFacts) { f.mode = 0o755 }), "neither the set-user-ID bit (its mode is 0755) nor the file capability cap_setuid", "chmod u+s /usr/bin/newuidmap"},
		"another file capability":   {with(good, func(f *helperFacts) { f.mode, f.fileCaps = 0o755, 1<<unix.CAP_SETGID }), "cap_setuid", "setcap"},
		"another owner":             {with(good, func(f *helperFacts) { f.owner = 1000 }), "belongs to user 1000", "chown root:root"},
		"nosuid":                    {with(good, func(f *helperFacts) { f.nosuid = true }), "nosuid", "without nosuid"},
		"no_new_privs":              {with(good, func(f *helperFacts) { f.noNewPrivs = true }), "no_new_privs", "NoNewPrivileges=no"},
		"no file":                   {with("", func(f *helperFacts) { f.missing = true }), "does not exist", "alice:100000:65536"},
		"no line":                   {with("bob:1:2\n", nil), "no line for user 1000 (alice)", `add the line "alice:100000:65536" to /etc/subuid`},
		"too few":                   {with("alice:100000:1000\n", nil), "grants user 1000 (alice) the IDs 100000 to 100999, and not all of 100000 to 165535", "alice:100000:65536"},
		"those of somebody else":    {with("alice:200000:65536\nbob:120000:65536\n", nil), `granted to bob (the line "bob:120000:65536")`, "usermod"},
		"privileges before a range": {with("", func(f *helperFacts) { f.mode = 0o755 }), "set-user-ID", "chmod"},
	} {
		cause, remedy := users.explainHelper(tc.facts, maps)
		if !strings.Contains(cause, tc.cause) || !strings.Contains(remedy, tc.remedy) || (tc.cause == "") != (cause == "") {
			t.Errorf("%s: %q, %q", name, cause, remedy)
		}
	}
}

func TestPermitted(t *testing.T) {
	// What setcap cap_setuid+ep writes.
	attr := []byte{1, 0, 0, 2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if got := permitted(attr); got != 1<<unix.CAP_SETUID {
		t.Errorf("%#x", got)
	}
	if permitted(attr[:3]) != 0 {
		t.Error("half an attribute permits something")
	}
}

func TestExplainOwn(t *testing.T) {
	g := alice
	g.own, g.text = 100000, "alice:100000:65536\n"
	if why := g.explainOwn(); !strings.Contains(why.Cause, "100000 is the own ID") || !strings.Contains(why.Remedy, "two lines") {
		t.Errorf("%+v", why)
	}
	g.own = 1000
	if why := g.explainOwn(); why.Cause != "" {
		t.Errorf("outside of the range: %+v", why)
	}
	twice := []specs.LinuxIDMapping{{HostID: 100000, Size: 1}, {ContainerID: 1, HostID: 100000, Size: 65536}}
	if !mappedTwice(twice, 100000) || mappedTwice(twice, 100001) {
		t.Error("mapped twice")
	}
}
