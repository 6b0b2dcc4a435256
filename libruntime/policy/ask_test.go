package policy

import (
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/internal/fault"
)

// asks are annotations or flags and what comes of them.
type ask struct {
	policy      string
	annotations string // seal=auto;userns=auto
	asked       Asked
	want        string // the decision, or
	refused     string // a part of the error, its cause or its remedy, and
	origin      string // its place
}

func (a ask) decide(t *testing.T) (Decision, error) {
	var p *Policy
	if a.policy != "" {
		p = mustParse(t, "[defaults]\n"+a.policy)
	}
	f := onRoot
	f.Annotations = map[string]string{"org.example": "run.bailey.seal"}
	for item := range strings.SplitSeq(a.annotations, ";") {
		if key, value, ok := strings.Cut(item, "="); ok {
			f.Annotations[Prefix+key] = value
		}
	}
	return p.Decide(f, a.asked)
}

func (a ask) run(t *testing.T) {
	d, err := a.decide(t)
	if a.refused == "" {
		if got := told(d); err != nil || got != a.want {
			t.Errorf("%v\n%s\nwant\n%s", err, got, a.want)
		}
		return
	}
	if err == nil {
		t.Fatalf("granted:\n%s", told(d))
	}
	if !d.IsZero() {
		t.Errorf("an error and a decision: %s", told(d))
	}
	isFault(t, err, a.origin)
	cause, remedy := fault.Explain(err)
	if all := err.Error() + "\n" + cause + "\n" + remedy; !strings.Contains(all, a.refused) {
		t.Errorf("%s\nwant %q", all, a.refused)
	}
}

func TestAnnotations(t *testing.T) {
	for name, tc := range map[string]ask{
		"seal":          {"", "seal=auto", Asked{}, "seal=auto by annotation run.bailey.seal", "", ""},
		"seal never":    {"", "seal=never", Asked{}, "seal=never by annotation run.bailey.seal", "", ""},
		"limits":        {"", "namespaces=user=0, net=2", Asked{}, "namespaces.user=0 by annotation run.bailey.namespaces\nnamespaces.net=2 by annotation run.bailey.namespaces", "", ""},
		"ceiling":       {"", "capabilities=CAP_KILL,CAP_CHOWN", Asked{}, "capabilities=CAP_CHOWN,CAP_KILL by annotation run.bailey.capabilities", "", ""},
		"no capability": {"", "capabilities=", Asked{}, "capabilities=none by annotation run.bailey.capabilities", "", ""},
		"bits":          {"", "securebits=noroot,noroot_locked", Asked{}, "securebits=noroot,noroot_locked by annotation run.bailey.securebits", "", ""},
		"userns config": {"", "userns=config", Asked{}, "", "", ""},

		"ignored":           {`annotations = "ignore"`, "seal=always;userns=auto;nope=1;capabilities=x", Asked{}, "annotations=ignore by defaults (p.toml:2)", "", ""},
		"more than policy":  {`seal = "auto"`, "seal=always", Asked{}, "seal=always by annotation run.bailey.seal", "", ""},
		"never is no floor": {`seal = "never"`, "seal=always", Asked{}, "seal=always by annotation run.bailey.seal", "", ""},
		"less than policy":  {`seal = "auto"`, "seal=never", Asked{}, "", `seal = "auto" by defaults (p.toml:2)`, "/annotations/run.bailey.seal"},
		"at least auto":     {`seal = "always"`, "seal=auto", Asked{}, "seal=always by defaults (p.toml:2)", "", ""},
		"less, allowed":     {"seal = \"auto\"\nannotations = \"allow\"", "seal=never", Asked{}, "seal=never by annotation run.bailey.seal\nannotations=allow by defaults (p.toml:3)", "", ""},
		"less than floor":   {"seal = \"always\"\nannotations = \"allow\"", "seal=never", Asked{}, "", `seal = "always" by defaults (p.toml:2)`, "/annotations/run.bailey.seal"},

		"limit lowered":    {"namespaces.user = 5", "namespaces=user=2", Asked{}, "namespaces.user=2 by annotation run.bailey.namespaces", "", ""},
		"limit not raised": {"namespaces.user = 5\nannotations = \"allow\"", "namespaces=user=9", Asked{}, "namespaces.user=5 by defaults (p.toml:2)\nannotations=allow by defaults (p.toml:3)", "", ""},
		"limit where free": {`namespaces.user = "config"`, "namespaces=user=9", Asked{}, "namespaces.user=9 by annotation run.bailey.namespaces", "", ""},
		"ceiling meets":    {`capabilities = ["CAP_KILL", "CAP_CHOWN"]`, "capabilities=CAP_KILL,CAP_FOWNER", Asked{}, "capabilities=CAP_KILL by defaults (p.toml:2), annotation run.bailey.capabilities", "", ""},
		"ceiling kept":     {`capabilities = ["CAP_KILL"]`, "capabilities=CAP_KILL,CAP_FOWNER", Asked{}, "capabilities=CAP_KILL by defaults (p.toml:2)", "", ""},
		"ceiling lowered":  {`capabilities = ["CAP_KILL", "CAP_CHOWN"]`, "capabilities=CAP_KILL", Asked{}, "capabilities=CAP_KILL by annotation run.bailey.capabilities", "", ""},
		"bits added":       {`securebits = ["noroot"]`, "securebits=no_setuid_fixup", Asked{}, "securebits=noroot,no_setuid_fixup by defaults (p.toml:2), annotation run.bailey.securebits", "", ""},

		"userns":              {"", "userns=auto", Asked{}, "", `annotations = "allow"`, "/annotations/run.bailey.userns"},
		"userns, tighten":     {`annotations = "tighten"`, "userns=auto", Asked{}, "", `annotations = "tighten" by defaults (p.toml:2)`, "/annotations/run.bailey.userns"},
		"userns, allowed":     {`annotations = "allow"`, "userns=auto", Asked{}, "userns=auto by annotation run.bailey.userns\nannotations=allow by defaults (p.toml:2)", "", ""},
		"userns, sized":       {`annotations = "allow"`, "userns=auto:size=1000", Asked{}, "userns=auto by annotation run.bailey.userns\nuserns_size=1000 by annotation run.bailey.userns\nannotations=allow by defaults (p.toml:2)", "", ""},
		"userns is so":        {`userns = "auto"`, "userns=auto", Asked{}, "userns=auto by defaults (p.toml:2)", "", ""},
		"userns is so, sized": {`userns = "auto"`, "userns=auto:size=5", Asked{}, "", "allow", "/annotations/run.bailey.userns"},
		"userns less":         {`userns = "auto"`, "userns=config", Asked{}, "", "allow", "/annotations/run.bailey.userns"},
		"userns less allowed": {"userns = \"auto\"\nannotations = \"allow\"", "userns=config", Asked{}, "userns=config by annotation run.bailey.userns\nannotations=allow by defaults (p.toml:3)", "", ""},
		"userns required":     {"userns = \"require\"\nannotations = \"allow\"", "userns=config", Asked{}, "userns=require by defaults (p.toml:2)\nannotations=allow by defaults (p.toml:3)", "", ""},
		"userns given":        {"userns = \"require\"\nannotations = \"allow\"", "userns=auto", Asked{}, "userns=auto by annotation run.bailey.userns\nannotations=allow by defaults (p.toml:3)", "", ""},
		"too many IDs":        {"userns_size = 100\nannotations = \"allow\"", "userns=auto:size=101", Asked{}, "", "userns_size by defaults (p.toml:2)", "/annotations/run.bailey.userns"},

		"unknown":          {"", "sael=auto", Asked{}, "", `unknown annotation "run.bailey.sael"`, "/annotations/run.bailey.sael"},
		"unknown, pointer": {"", "a/b~c\n=1", Asked{}, "", "the annotations that start with run.bailey. are", `/annotations/run.bailey.a~1b~0c\n`},
		"bad seal":         {"", "seal=yes", Asked{}, "", "it is not one of never, auto, always", "/annotations/run.bailey.seal"},
		"bad userns":       {"", "userns=require", Asked{}, "", "it is not config, auto or auto:size=N", "/annotations/run.bailey.userns"},
		"bad size":         {"", "userns=auto:size=0", Asked{}, "", "is not a number of IDs", "/annotations/run.bailey.userns"},
		"bad size sign":    {"", "userns=auto:size=+5", Asked{}, "", "is not a number of IDs", "/annotations/run.bailey.userns"},
		"size of config":   {"", "userns=config:size=5", Asked{}, "", "it is not config", "/annotations/run.bailey.userns"},
		"bad kind":         {"", "namespaces=mount=0", Asked{}, "", "is not a kind of namespace", "/annotations/run.bailey.namespaces"},
		"bad limit":        {"", "namespaces=user=-1", Asked{}, "", "is not a number from 0 to", "/annotations/run.bailey.namespaces"},
		"no limit":         {"", "namespaces=user", Asked{}, "", "is not a number from 0 to", "/annotations/run.bailey.namespaces"},
		"kind twice":       {"", "namespaces=user=1,user=1", Asked{}, "", "user stands twice", "/annotations/run.bailey.namespaces"},
		"empty item":       {"", "namespaces=user=1,", Asked{}, "", "is not a kind", "/annotations/run.bailey.namespaces"},
		"bad capability":   {"", "capabilities=KILL", Asked{}, "", `is "CAP_KILL" meant?`, "/annotations/run.bailey.capabilities"},
		"bad bit":          {"", "securebits=root", Asked{}, "", "is not one of noroot", "/annotations/run.bailey.securebits"},
		"bit locked off":   {"", "securebits=noroot_locked", Asked{}, "", "would lock it while it is off", "/annotations/run.bailey.securebits"},
	} {
		t.Run(name, tc.run)
	}
}

func TestFlags(t *testing.T) {
	for name, tc := range map[string]ask{
		"seal":             {"", "", Asked{Seal: "auto"}, "seal=auto by flag --seal", "", ""},
		"less":             {`seal = "auto"`, "", Asked{Seal: "never"}, "seal=never by flag --seal", "", ""},
		"less than floor":  {`seal = "always"`, "", Asked{Seal: "never"}, "", `seal = "always" by defaults (p.toml:2)`, "--seal"},
		"at least auto":    {`seal = "always"`, "", Asked{Seal: "auto"}, "seal=always by defaults (p.toml:2)", "", ""},
		"over annotation":  {"", "seal=always", Asked{Seal: "never"}, "seal=never by flag --seal", "", ""},
		"not over both":    {`seal = "always"`, "seal=always", Asked{Seal: "never"}, "", `seal = "always" by defaults`, "--seal"},
		"bad seal":         {"", "", Asked{Seal: "on"}, "", "it is not one of never, auto, always", "--seal"},
		"ignore is not us": {`annotations = "ignore"`, "seal=never", Asked{Seal: "auto"}, "seal=auto by flag --seal\nannotations=ignore by defaults (p.toml:2)", "", ""},

		"userns":              {"", "", Asked{Userns: "auto"}, "userns=auto by flag --userns", "", ""},
		"userns sized":        {"", "", Asked{Userns: "auto:size=9"}, "userns=auto by flag --userns\nuserns_size=9 by flag --userns", "", ""},
		"userns less":         {`userns = "auto"`, "", Asked{Userns: "config"}, "userns=config by flag --userns", "", ""},
		"userns required":     {`userns = "require"`, "", Asked{Userns: "config"}, "userns=require by defaults (p.toml:2)", "", ""},
		"userns given":        {`userns = "require"`, "", Asked{Userns: "auto"}, "userns=auto by flag --userns", "", ""},
		"userns taken back":   {"userns = \"require\"\nannotations = \"allow\"", "userns=auto", Asked{Userns: "config"}, "userns=require by defaults (p.toml:2)\nannotations=allow by defaults (p.toml:3)", "", ""},
		"too many IDs":        {"userns_size = 8", "", Asked{Userns: "auto:size=9"}, "", "userns_size by defaults (p.toml:2)", "--userns"},
		"bad userns":          {"", "", Asked{Userns: "host"}, "", "it is not config, auto or auto:size=N", "--userns"},
		"the first error won": {"", "seal=on", Asked{Seal: "auto"}, "", "read \"on\"", "/annotations/run.bailey.seal"},
	} {
		t.Run(name, tc.run)
	}
}
