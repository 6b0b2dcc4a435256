package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/spec"
)

const policyText = `[defaults]
seal = "auto"

[[rule]]
name = "pods"
match.engine = "kubernetes"
capabilities = ["CAP_KILL"]

[[rule]]
name = "locked"
match.annotation = { "com.example.lock" = "y*" }
userns = "require"

[[rule]]
name = "here"
match.bundle = "/**/bundle"
match.user = "mallory"
overlap = "refuse"
`

// policyFiles writes a policy and a bundle.
func policyFiles(t *testing.T, text string) (file, bundle string) {
	t.Helper()
	dir := t.TempDir()
	file, bundle = filepath.Join(dir, "p.toml"), filepath.Join(dir, "bundle")
	s := spec.Example()
	s.Annotations = map[string]string{"run.bailey.namespaces": "user=0"}
	err := os.WriteFile(file, []byte(text), 0o600)
	if err == nil {
		err = os.Mkdir(bundle, 0o700)
	}
	if err == nil {
		err = writeConfig(filepath.Join(bundle, "config.json"), s)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file, bundle
}

func TestPolicyCheck(t *testing.T) {
	file, bundle := policyFiles(t, policyText)
	for name, tc := range map[string]struct {
		args   string
		status int
		out    []string // rows, with one blank between columns
		errs   string
	}{
		"alone": {"FILE", 0, []string{"FILE: no problems"}, ""},
		"nobody special": {"FILE --engine none", 0, []string{
			"seal auto defaults (FILE:2)", "userns config nothing (default)", "capabilities config nothing (default)",
			"namespaces config nothing (default)", "overlap allow nothing (default)"}, ""},
		"an engine":     {"FILE --engine kubernetes --engine containerd", 0, []string{`capabilities CAP_KILL rule "pods" (FILE:7)`}, ""},
		"a user":        {"FILE --bundle BUNDLE --user mallory", 0, []string{`overlap refuse rule "here" (FILE:18)`, "namespaces.user 0 annotation run.bailey.namespaces"}, ""},
		"annotation":    {"FILE --annotation com.example.lock=yes", 0, []string{`userns require rule "locked" (FILE:12)`}, ""},
		"of the config": {"FILE --bundle BUNDLE --annotation run.bailey.namespaces=user=3,net=1", 0, []string{"namespaces.user 3 annotation run.bailey.namespaces", "namespaces.net 1 annotation"}, ""},
		"flags":         {"FILE --seal never --userns auto:size=5", 0, []string{"seal never flag --seal", "userns_size 5 flag --userns"}, ""},
		"refused": {"FILE --bundle BUNDLE --annotation com.example.lock=yes", 1, []string{`userns require rule "locked"`},
			"(config.json /linux/namespaces)"},
		"not to be had":     {"FILE --annotation run.bailey.userns=auto", 1, nil, "(config.json /annotations/run.bailey.userns)"},
		"unknown engine":    {"FILE --engine crio", 1, nil, "\"crio\" is not one of containerd, cri-o"},
		"bad annotation":    {"FILE --annotation x", 1, nil, "\"x\" is not NAME=VALUE"},
		"bad flag":          {"FILE --seal on", 1, nil, "(--seal)"},
		"no bundle":         {"FILE --bundle /does/not/exist", 1, nil, "ENOENT"},
		"no file":           {"/does/not/exist", 1, nil, "no such file"},
		"bad format":        {"FILE --format xml", 1, nil, "--format"},
		"nothing to check":  {"", 1, nil, "an argument is missing"},
		"more than a check": {"FILE FILE", 1, nil, "one argument too many"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"policy", "check"}
			for _, a := range strings.Fields(tc.args) {
				args = append(args, strings.NewReplacer("FILE", file, "BUNDLE", bundle).Replace(a))
			}
			status, out, errs := bailey(t, args...)
			if status != tc.status || !strings.Contains(errs, tc.errs) || tc.errs == "" && errs != "" {
				t.Errorf("%d, %q", status, errs)
			}
			var rows []string
			for line := range strings.Lines(out) {
				rows = append(rows, strings.Join(strings.Fields(line), " "))
			}
			for _, want := range tc.out {
				if want = strings.ReplaceAll(want, "FILE", file); !strings.Contains(strings.Join(rows, "\n"), want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			if tc.out == nil && out != "" {
				t.Errorf("printed %q", out)
			}
		})
	}
	if status, _, errs := bailey(t, "policy", "show", file); status != 1 || !strings.Contains(errs, "\"show\" is not check") {
		t.Errorf("%d, %q", status, errs)
	}
}

func TestPolicyCheckPrintsEveryProblem(t *testing.T) {
	file, _ := policyFiles(t, "[defaults]\nseal = 1\nsael = 2\n")
	status, out, errs := bailey(t, "policy", "check", file)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if status != 1 || len(lines) != 2 || !strings.HasPrefix(lines[0], file+":2: defaults, seal: ") || !strings.HasPrefix(lines[1], file+":3: ") ||
		!strings.Contains(errs, "the policy has 2 problems") {
		t.Errorf("%d, %q, %q", status, out, errs)
	}
	status, out, _ = bailey(t, "policy", "check", "--format", "json", file)
	var check struct {
		File     string
		Problems []struct {
			Line    int
			Problem string
		}
	}
	if err := json.Unmarshal([]byte(out), &check); status != 1 || err != nil || check.File != file || len(check.Problems) != 2 || check.Problems[1].Line != 3 {
		t.Errorf("%d, %v, %s", status, err, out)
	}
}

func TestPolicyCheckJSON(t *testing.T) {
	file, bundle := policyFiles(t, policyText)
	status, out, errs := bailey(t, "policy", "check", "--format", "json", "--bundle", bundle, "--engine", "kubernetes", file)
	var check struct {
		Problems []any
		Decision []struct {
			Setting, Value string
			By             []struct {
				What, File string
				Line       int
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &check); status != 0 || err != nil || check.Problems == nil {
		t.Fatalf("%d, %v, %s, %s", status, err, out, errs)
	}
	for _, row := range check.Decision {
		if row.Setting == "capabilities" {
			if row.Value != "CAP_KILL" || len(row.By) != 1 || row.By[0].What != `rule "pods"` || row.By[0].File != file || row.By[0].Line != 7 {
				t.Errorf("%+v", row)
			}
			return
		}
	}
	t.Errorf("no capabilities in %s", out)
}
