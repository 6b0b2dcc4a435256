package userns

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// annotated adds annotations.
func annotated(pairs ...string) harness.Change {
	return func(s *specs.Spec) {
		if s.Annotations == nil {
			s.Annotations = make(map[string]string)
		}
		for i := 0; i < len(pairs); i += 2 {
			s.Annotations[pairs[i]] = pairs[i+1]
		}
	}
}

// size returns how many IDs a container has, 0 if it has no user namespace of its own.
func size(c *harness.Container) uint32 {
	c.Env.T.Helper()
	m := liveMap(c.PID(), "uid_map")
	if len(m) != 1 {
		c.Env.T.Fatalf("uid_map: %v", m)
	}
	if m[0].size == 1<<32-1 {
		return 0
	}
	return m[0].size
}

// Defaults and rules decide which containers get IDs of their own, and how many; the plan says by what.
func TestRules(t *testing.T) {
	e := newEnv(t)
	byRule := func(condition string) string {
		return "[defaults]\nuserns_size = 5000\n[[rule]]\nname = \"web\"\n" + condition + "\nuserns = \"auto\"\nuserns_size = 4000\n"
	}
	plain, web := e.Container(), e.Container(annotated("com.example.tier", "web-7"))
	pod := e.Container(annotated("io.kubernetes.cri.container-type", "container"))
	for _, tc := range []struct {
		policy string
		c      *harness.Container
		size   uint32
		by     string
	}{
		{"", plain, 0, ""},
		{"[defaults]\nuserns = \"auto\"\n", plain, 65536, "defaults (/etc/bailey/policy.toml:2)"},
		{byRule(`match.annotation = { "com.example.tier" = "web-*" }`), web, 4000, `rule "web" (/etc/bailey/policy.toml:6)`},
		{byRule(`match.annotation = { "com.example.tier" = "web-*" }`), plain, 0, ""},
		{byRule(`match.bundle = "` + plain.Bundle + `"`), plain, 4000, `rule "web"`},
		{byRule(`match.bundle = "` + e.Dir + `/*"`), web, 4000, `rule "web"`},
		{byRule(`match.bundle = "/somewhere/**"`), plain, 0, ""},
		{byRule(`match.rootfs = "` + plain.Rootfs + `"`), plain, 4000, `rule "web"`},
		{byRule(`match.engine = "none"`), plain, 4000, `rule "web"`},
		{byRule(`match.engine = "kubernetes"`), plain, 0, ""},
		{byRule(`match.engine = "kubernetes"`), pod, 4000, `rule "web"`},
		{byRule(`match.user = "root"`), plain, 4000, `rule "web"`},
		{byRule(`match.user = ["daemon", 77]`), plain, 0, ""},
		{byRule(`match.engine = "none"`) + "[[rule]]\nname = \"last\"\nmatch.user = 0\nuserns = \"config\"\n", plain, 0, `rule "last"`},
	} {
		e.WithPolicy(tc.policy)
		tc.c.RunDetached().OK(e)
		if got := size(tc.c); got != tc.size {
			t.Errorf("%d IDs, want %d, under\n%s", got, tc.size, tc.policy)
		}
		tc.c.Delete("--force").OK(e)
		text := e.Bailey("plan", "--bundle", tc.c.Bundle).OK(e)
		line := ""
		for l := range strings.Lines(text) {
			if strings.HasPrefix(l, "userns = ") {
				line = l
			}
		}
		if !strings.Contains(line, tc.by) || tc.by == "" && line != "" {
			t.Errorf("the plan says %q, want %q", line, tc.by)
		}
		var plan struct {
			Decided []struct{ Setting, Value, By string }
		}
		e.Must(json.Unmarshal([]byte(e.Bailey("plan", "--format", "json", "--bundle", tc.c.Bundle).OK(e)), &plan))
		found := false
		for _, d := range plan.Decided {
			found = found || d.Setting == "userns" && strings.Contains(d.By, tc.by)
		}
		if found != (tc.by != "") {
			t.Errorf("the plan in JSON says %+v, want %q", plan.Decided, tc.by)
		}
	}
	noneHeld(e)
}

// Without a policy, with one that says nothing and with one that says what holds anyway, plans are the same.
func TestNeutralPolicy(t *testing.T) {
	e := newEnv(t)
	c := e.Container()
	plan := func(format string) string {
		return e.Bailey("plan", "--format", format, "--bundle", c.Bundle, "ID").OK(e)
	}
	for _, format := range []string{"text", "json"} {
		e.Do(func() { os.Remove("/etc/bailey/policy.toml") })
		without := plan(format)
		for name, text := range map[string]string{"empty": "", "a comment": "# nothing\n", "no defaults": "[defaults]\n",
			"a rule for others": "[[rule]]\nname = \"x\"\nmatch.engine = \"cri-o\"\nuserns = \"auto\"\n"} {
			e.WithPolicy(text)
			if got := plan(format); got != without {
				t.Errorf("%s: another plan in %s", name, format)
			}
		}
		e.WithPolicy("[defaults]\nuserns = \"config\"\nseal = \"never\"\nseccomp = \"config\"\ncapabilities = \"config\"\nno_new_privileges = \"config\"\nsecurebits = []\noverlap = \"allow\"\nannotations = \"tighten\"\nnamespaces.user = \"config\"\n")
		if got := plan("text"); format == "text" && !strings.HasPrefix(got, without) {
			t.Errorf("a policy of what holds anyway: %s", got)
		}
	}
}

// What annotations may ask for is what the setting says.
func TestAnnotations(t *testing.T) {
	e := newEnv(t)
	all := []string{"run.bailey.userns", "auto:size=3000", "run.bailey.seal", "always", "run.bailey.securebits", "noroot,noroot_locked",
		"run.bailey.capabilities", "CAP_KILL,CAP_CHOWN", "run.bailey.namespaces", "user=0,net=2"}
	const show = `probe status CapBnd Securebits; unshare -U true 2>/dev/null && echo nested; umount /proc/keys 2>/dev/null && echo unmasked; true`
	caps := harness.Capabilities("CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_KILL")
	run := func(c *harness.Container) string {
		t.Helper()
		return c.Run().OK(e)
	}
	e.WithPolicy("[defaults]\nannotations = \"allow\"\n")
	if got := run(e.Container(caps, harness.Sh(show+"; tr -s ' ' < /proc/self/uid_map"), annotated(all...))); got != "CapBnd 0000000000000021\nSecurebits 0x3\n 0 0 3000\n" {
		t.Errorf("allow: %q", got)
	}
	e.WithPolicy("[defaults]\nannotations = \"ignore\"\n")
	if got := run(e.Container(caps, harness.Sh(show), annotated(append(all, "run.bailey.nonsense", "1")...))); got != "CapBnd 0000000000200021\nSecurebits 0x0\nnested\nunmasked\n" {
		t.Errorf("ignore: %q", got)
	}
	for _, policy := range []string{"[defaults]\nannotations = \"tighten\"\n", ""} {
		e.WithPolicy(policy)
		if got := run(e.Container(caps, harness.Sh(show), annotated(all[2:]...))); got != "CapBnd 0000000000000021\nSecurebits 0x3\n" {
			t.Errorf("tighten: %q", got)
		}
		e.Container(annotated(all[:2]...)).Create().Fails(e, "/annotations/run.bailey.userns", "the policy does not allow it")
	}
	for name, pairs := range map[string][]string{"unknown": {"run.bailey.nonsense", "1"}, "size": {"run.bailey.userns", "auto:size=0"}, "seal": {"run.bailey.seal", "yes"}} {
		c := e.Container(annotated(pairs...))
		for _, command := range []string{"create", "run", "plan"} {
			if r := e.Bailey(command, "--bundle", c.Bundle, c.ID); r.Code == 0 || !strings.Contains(r.Stderr, "/annotations/run.bailey.") {
				t.Errorf("%s: %s", name, r)
			}
		}
	}
	// Less than the policy has only with its leave.
	e.WithPolicy("[defaults]\nseal = \"auto\"\nuserns = \"auto\"\n")
	e.Container(annotated("run.bailey.seal", "never")).Create().Fails(e, "less isolation", "defaults (/etc/bailey/policy.toml:2)")
	e.Container(annotated("run.bailey.userns", "config")).Create().Fails(e, "the policy does not allow it")
	e.WithPolicy("[defaults]\nseal = \"auto\"\nuserns = \"auto\"\nannotations = \"allow\"\n")
	c := e.Container(annotated("run.bailey.seal", "never", "run.bailey.userns", "config"))
	c.RunDetached().OK(e)
	if got := size(c); got != 0 {
		t.Errorf("%d IDs of its own", got)
	}
	// A floor holds against everybody.
	e.WithPolicy("[defaults]\nseal = \"always\"\nuserns = \"require\"\nannotations = \"allow\"\nuserns_size = 1000\n")
	e.Container(annotated("run.bailey.seal", "never")).Create().Fails(e, `seal = "always" by defaults`)
	e.Container().Create("--seal", "never").Fails(e, `seal = "always" by defaults`)
	e.Container().Create("--userns", "auto:size=1001").Fails(e, "1000 IDs", "userns_size by defaults")
	e.Container().Create().Fails(e, "/linux/namespaces", `userns = "require" by defaults`)
	c.Delete("--force").OK(e)
	noneHeld(e)
	e.CheckNothingLeft()
}

// A broken policy starts nothing, and leaves nothing; what runs can still be worked with.
func TestBrokenPolicy(t *testing.T) {
	e := newEnv(t)
	running := e.Container()
	running.RunDetached("--userns", "auto").OK(e)
	e.WithPolicy("[defaults]\nuserns = \"sometimes\"\nnosuch = 1\n")
	c := e.Container()
	for _, args := range [][]string{{"create"}, {"run"}, {"run", "--detach"}, {"plan"}, {"create", "--userns", "auto"},
		{"restore", "--image-path", e.Dir}} {
		args = append(slices.Clone(args), "--bundle", c.Bundle, c.ID)
		e.Bailey(args...).Fails(e, "/etc/bailey/policy.toml:2", "userns", "and 1 more", "bailey policy check")
		if _, err := os.Stat(e.Root + "/" + c.ID); err == nil {
			t.Errorf("%v has left a state directory", args)
		}
	}
	e.Do(func() { _ = os.Chmod("/etc/bailey/policy.toml", 0o666) })
	c.Create().Fails(e, "policy.toml", "chmod go-w")
	if got := running.Sh("echo works"); got != "works" {
		t.Errorf("exec: %q", got)
	}
	if held := holders(e); len(held) != 1 {
		t.Errorf("held: %v", held)
	}
	running.Delete("--force").OK(e)
	noneHeld(e)
}

// What the policy says of processes holds for those that are executed later, whatever the caller of exec asks for, and as it
// was when the container was made.
func TestPolicyOfExec(t *testing.T) {
	e := newEnv(t)
	e.WithPolicy("[defaults]\ncapabilities = [\"CAP_CHOWN\"]\nno_new_privileges = \"set\"\nsecurebits = [\"noroot\"]\n")
	c := e.Container(func(s *specs.Spec) { s.Process.NoNewPrivileges = false })
	c.RunDetached("--userns", "auto").OK(e)
	e.WithPolicy("")
	const fields = "CapBnd CapPrm NoNewPrivs Securebits"
	for _, flags := range [][]string{nil, {"--cap", "CAP_SYS_ADMIN"}, {"--cap", "CAP_CHOWN", "--cap", "CAP_KILL"}, {"--user", "1000"}} {
		got := c.Exec(flags, append([]string{"probe", "status"}, strings.Fields(fields)...)...).OK(e)
		if !strings.Contains(got, "NoNewPrivs 1\nSecurebits 0x1\n") || !strings.Contains(got, "CapBnd 0000000000000001\n") && !strings.Contains(got, "CapBnd 0000000000000000\n") {
			t.Errorf("exec %v: %q", flags, got)
		}
	}
	process := e.WriteFile("process.json", `{"cwd":"/","args":["probe","status","CapBnd","CapEff","NoNewPrivs"],"env":["PATH=/bin"],"user":{"uid":0,"gid":0},
		"capabilities":{"bounding":["CAP_SYS_ADMIN","CAP_CHOWN"],"effective":["CAP_SYS_ADMIN"],"permitted":["CAP_SYS_ADMIN"],"ambient":["CAP_SYS_ADMIN"]}}`, 0o644)
	if got := e.Bailey("exec", "--process", process, c.ID).OK(e); got != "CapBnd 0000000000000001\nCapEff 0000000000000000\nNoNewPrivs 1\n" {
		t.Errorf("exec --process: %q", got)
	}
}

// Ordinary policies and seals go together with IDs from the ledger.
func TestSealedWithOwnIDs(t *testing.T) {
	e := newEnv(t)
	c := e.Container(harness.Capabilities("CAP_SYS_ADMIN", "CAP_CHOWN"))
	c.RunDetached("--userns", "auto", "--seal", "always").OK(e)
	for range 2 {
		got := c.Sh(`id -u; stat -c %u /etc/passwd; umount /proc/keys 2>/dev/null && echo unmasked; unshare -U true 2>/dev/null && echo nested
			touch /work/x; chown 1000 /work/x; stat -c %u /work/x; rm /work/x; tr -s ' ' < /proc/self/uid_map`)
		if got != "0\n0\n1000\n 0 0 65536" {
			t.Errorf("%q", got)
		}
	}
	if got := c.Exec([]string{"--user", "1000:1000"}, "id", "-u").OK(e); got != "1000\n" {
		t.Errorf("exec --user: %q", got)
	}
	c.Delete("--force").OK(e)
	noneHeld(e)
}
