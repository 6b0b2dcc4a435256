package policy

import (
	"errors"
	"strings"
	"testing"
)

// rule1 is a rule that is right, for tests of what follows it.
const rule1 = "[[rule]]\nname = \"a\"\nmatch.engine = \"docker\"\nseal = \"auto\"\n"

func TestParseErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []string // each a part of one problem, in their order
	}{
		"syntax":                {"[defaults]\nseal = \n", []string{"p.toml:2: "}},
		"not UTF-8":             {"# \xff\n", []string{"p.toml:1: "}},
		"control character":     {"[defaults]\n\"a\\u0001\\nb\" = 1\n", []string{`p.toml:2: defaults: unknown key`}},
		"unknown top":           {"[default]\nseal = \"auto\"\n", []string{`p.toml:1: unknown key "default": a policy has [defaults] and [[rule]]`}},
		"bare setting":          {"seal = \"auto\"\n", []string{`p.toml:1: unknown key "seal"`}},
		"defaults is no table":  {"defaults = 1\n", []string{"defaults: it is a number, and has to be a table: [defaults]"}},
		"defaults is a list":    {"[[defaults]]\n", []string{"defaults: it is a list of tables"}},
		"rule is a table":       {"[rule]\nname = \"a\"\n", []string{"rule: it is a table, and has to be a list of tables: [[rule]]"}},
		"rules in a list":       {"rule = [{name=\"a\"}]\n", []string{"rule: it is a list, and has to be a list of tables"}},
		"unknown setting":       {"[defaults]\n\nusrns = \"auto\"\n", []string{`p.toml:3: defaults: unknown key "usrns": the settings are userns, userns_size`}},
		"name in defaults":      {"[defaults]\nname = \"x\"\n", []string{`unknown key "name"`}},
		"unknown in rule":       {rule1 + "matches = 1\n", []string{`p.toml:5: rule "a": unknown key "matches": the settings are userns, userns_size, namespaces, capabilities, seccomp, no_new_privileges, securebits, seal, overlap, annotations; a rule also has name, match`}},
		"twice":                 {"[defaults]\nseal = \"auto\"\nseal = \"never\"\n", []string{`p.toml:3: "seal" stands twice: it is a string in line 2`}},
		"table twice":           {"[defaults]\n[defaults]\n", []string{`p.toml:2: "defaults" stands twice: it is a table in line 1`}},
		"dots into a table":     {rule1 + "[rule.namespaces]\nuser = 0\n[defaults]\nnamespaces.user = 1\nnamespaces = {}\n", []string{`p.toml:9: "namespaces" stands twice`}},
		"added to braces":       {"[defaults]\nnamespaces = {user = 1}\nnamespaces.net = 2\n", []string{`p.toml:3: "namespaces" stands twice`}},
		"header into braces":    {"[defaults]\nnamespaces = {user = 1}\n[defaults.namespaces]\n", []string{`p.toml:3: "namespaces" stands twice`}},
		"not a choice":          {"[defaults]\nuserns = \"yes\"\n", []string{`p.toml:2: defaults, userns: "yes" is not one of config, auto, require`}},
		"choice is a bool":      {"[defaults]\nseal = true\n", []string{"defaults, seal: it is true or false, and has to be one of the strings never, auto, always"}},
		"seccomp":               {"[defaults]\nseccomp = \"set\"\n", []string{"is not one of config, require"}},
		"no_new_privileges":     {"[defaults]\nno_new_privileges = true\n", []string{"config, set, require"}},
		"overlap":               {"[defaults]\noverlap = \"no\"\n", []string{"allow, report, refuse"}},
		"annotations":           {"[defaults]\nannotations = \"\"\n", []string{"allow, tighten, ignore"}},
		"size zero":             {"[defaults]\nuserns_size = 0\n", []string{"defaults, userns_size: 0 is not a number of IDs from 1 to 4294967295"}},
		"size is large":         {"[defaults]\nuserns_size = 4294967296\n", []string{"4294967296 is not"}},
		"size is a string":      {"[defaults]\nuserns_size = \"64Ki\"\n", []string{"it is a string, and has to be a number of IDs"}},
		"size is a fraction":    {"[defaults]\nuserns_size = 1.5\n", []string{"it is a fraction"}},
		"size is a date":        {"[defaults]\nuserns_size = 1979-05-27\n", []string{"it is a date or time"}},
		"number too large":      {"[defaults]\nuserns_size = 99999999999999999999\n", []string{"p.toml:2: the number 99999999999999999999 has more than 64 bits"}},
		"limits are a number":   {"[defaults]\nnamespaces = 0\n", []string{"defaults, namespaces: it is a number, and has to be a table"}},
		"kind":                  {"[defaults.namespaces]\nmount = 0\n", []string{`p.toml:2: defaults, namespaces: unknown key "mount": the kinds are user, mnt, pid, net, ipc, uts, cgroup, time`}},
		"limit negative":        {"[defaults]\nnamespaces.user = -1\n", []string{`defaults, namespaces.user: -1 is not a number from 0 to 2147483647, or "config"`}},
		"limit large":           {"[defaults]\nnamespaces.user = 2147483648\n", []string{"2147483648 is not"}},
		"capability":            {"[defaults]\ncapabilities = [\n\"CAP_KILL\",\n\"kill\"]\n", []string{`"kill" is not a capability by its name in config.json; is "CAP_KILL" meant?`}},
		"no capability":         {"[defaults]\ncapabilities = [\"CAP_FLY\"]\n", []string{`"CAP_FLY" is not a capability by its name in config.json, such as`}},
		"capability twice":      {"[defaults]\ncapabilities = [\"CAP_KILL\", \"CAP_KILL\"]\n", []string{"CAP_KILL stands twice"}},
		"capabilities a string": {"[defaults]\ncapabilities = \"CAP_KILL\"\n", []string{`it is a string, and has to be a list of names, or "config"`}},
		"capability a number":   {"[defaults]\ncapabilities = [\n\"CAP_KILL\",\n5]\n", []string{"p.toml:4: defaults, capabilities: there is a number in it"}},
		"securebit":             {"[defaults]\nsecurebits = [\"keep_caps\"]\n", []string{`"keep_caps" is not one of noroot, noroot_locked, no_setuid_fixup, no_setuid_fixup_locked, keep_caps_locked, no_cap_ambient_raise, no_cap_ambient_raise_locked`}},
		"securebit twice":       {"[defaults]\nsecurebits = [\"noroot\", \"noroot\"]\n", []string{"noroot stands twice"}},
		"securebit locked off":  {"[defaults]\nsecurebits = [\"noroot_locked\"]\n", []string{"noroot_locked without noroot would lock it while it is off"}},
		"securebits a string":   {"[defaults]\nsecurebits = \"noroot\"\n", []string{"has to be a list of names"}},
		"rule without all":      {"[[rule]]\n", []string{"p.toml:1: rule 1: it has no name", "p.toml:1: rule 1: it has no match", "p.toml:1: rule 1: it sets nothing"}},
		"rule name a number":    {"[[rule]]\nname = 5\nmatch.user = 0\nseal = \"auto\"\n", []string{"rule 1, name: it has to be a string"}},
		"rule name twice":       {rule1 + rule1, []string{`p.toml:6: rule 2, name: "a" is the name of the rule in line 2`}},
		"match is a string":     {"[[rule]]\nname = \"a\"\nmatch = \"*\"\nseal = \"auto\"\n", []string{`rule "a", match: it is a string, and has to be a table of conditions`}},
		"match without any":     {"[[rule]]\nname = \"a\"\nmatch = {}\nseal = \"auto\"\n", []string{`rule "a", match: it has no condition`}},
		"unknown condition":     {"[[rule]]\nname = \"a\"\nmatch.image = \"x\"\nseal = \"auto\"\n", []string{`unknown key "image": the conditions are annotation, engine, bundle, rootfs, user`}},
		"engine":                {"[[rule]]\nname = \"a\"\nmatch.engine = \"crio\"\nseal = \"auto\"\n", []string{`"crio" is not one of containerd, cri-o, podman`}},
		"engine a number":       {"[[rule]]\nname = \"a\"\nmatch.engine = 1\nseal = \"auto\"\n", []string{"it is a number, and has to be a string or a list of strings"}},
		"no engine":             {"[[rule]]\nname = \"a\"\nmatch.engine = []\nseal = \"auto\"\n", []string{"an empty list matches nothing"}},
		"relative path":         {"[[rule]]\nname = \"a\"\nmatch.bundle = \"srv/*\"\nseal = \"auto\"\n", []string{`rule "a", match.bundle: the pattern "srv/*" matches no path`}},
		"empty pattern":         {"[[rule]]\nname = \"a\"\nmatch.rootfs = [\"/a\", \"\"]\nseal = \"auto\"\n", []string{`the pattern "" is empty`}},
		"backslash":             {"[[rule]]\nname = \"a\"\nmatch.rootfs = '/a\\'\nseal = \"auto\"\n", []string{"ends with a backslash"}},
		"dotted annotation":     {"[[rule]]\nname = \"a\"\nmatch.annotation.com.example = \"x\"\nseal = \"auto\"\n", []string{"a name with dots needs quotes"}},
		"annotation a string":   {"[[rule]]\nname = \"a\"\nmatch.annotation = \"x\"\nseal = \"auto\"\n", []string{"it has to be a table of names and patterns"}},
		"user is empty":         {"[[rule]]\nname = \"a\"\nmatch.user = [\"\"]\nseal = \"auto\"\n", []string{"the name is empty"}},
		"user is quoted number": {"[[rule]]\nname = \"a\"\nmatch.user = [\"root\", \"0\"]\nseal = \"auto\"\n", []string{"without quotes: 0"}},
		"user is none":          {"[[rule]]\nname = \"a\"\nmatch.user = []\nseal = \"auto\"\n", []string{"an empty list matches nothing"}},
		"user is nobody's":      {"[[rule]]\nname = \"a\"\nmatch.user = 4294967295\nseal = \"auto\"\n", []string{"4294967295 is not the name or number of a user"}},
		"all at once": {"[defaults]\nseal = 1\nx = 2\n" + rule1 + "userns = \"on\"\noverlap = [\n", []string{
			"p.toml:2: defaults, seal", `p.toml:3: defaults: unknown key "x"`, `p.toml:8: rule "a", userns`, "p.toml:9: "}},
		"cut short": {"[[rule]]\nname = \"a\"\n]", []string{"p.toml:3: "}},
		"too large": {strings.Repeat("#", MaxSize+1), []string{"p.toml:1: the file has more than 65536 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Parse("p.toml", []byte(tc.text))
			var list ParseErrors
			if p != nil || !errors.As(err, &list) || len(list) != len(tc.want) {
				t.Fatalf("%v, %v", p, err)
			}
			for i, e := range list {
				if s := e.Error(); !strings.Contains(s, tc.want[i]) || strings.ContainsAny(s, "\n\x01") {
					t.Errorf("%q, want %q", s, tc.want[i])
				}
			}
		})
	}
}

func TestParse(t *testing.T) {
	for name, text := range map[string]string{
		"empty":         "",
		"comments":      "# nothing\r\n\r\n",
		"no settings":   "[defaults]\n",
		"everything":    everything,
		"table headers": "[[rule]]\nname = \"a\"\nseal = \"auto\"\n[rule.match]\nengine = \"none\"\n[rule.match.annotation]\n\"a.b\" = \"\"\n[rule.namespaces]\nuser = 0\n",
		"in braces":     "[[rule]]\nname = \"a\"\nmatch = { engine = [\"docker\", \"podman\"], annotation = { \"a.b\" = [\"x\", \"y\"] } }\nnamespaces = { user = 0x10, net = 1_000 }\n",
		"rule first":    rule1 + "[defaults]\nseal = \"never\"\n",
	} {
		if _, err := Parse("p.toml", []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// everything is a policy with every setting and condition.
const everything = `
[defaults]
userns = "auto"
userns_size = 65536
namespaces = { user = 0, mnt = 1, pid = 2, net = 3, ipc = 4, uts = 5, cgroup = 6, time = "config" }
capabilities = ["CAP_KILL", "CAP_CHOWN"]
seccomp = "require"
no_new_privileges = "set"
securebits = ["noroot", "noroot_locked", "keep_caps_locked"]
seal = "auto"
overlap = "refuse"
annotations = "tighten"

[[rule]]
name = "builders"
match.annotation = { "com.example.role" = "build-*" }
match.engine = ["podman", "kubernetes"]
match.bundle = ["/run/**", "/var/lib/**"]
match.rootfs = "/var/lib/containers/**/merged"
match.user = ["root", 1000]
userns = "config"
namespaces.user = "config"
capabilities = "config"
seccomp = "config"
no_new_privileges = "config"
securebits = []
seal = "never"
overlap = "allow"
annotations = "allow"
`
