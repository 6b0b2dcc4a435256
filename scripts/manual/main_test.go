package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/cli"
)

const day = "2026-01-31"

// Every command has a page, and every flag a place in it.
func TestPages(t *testing.T) {
	commands := cli.Manual()
	if len(commands) < 17 {
		t.Fatalf("%d commands", len(commands))
	}
	for _, c := range commands {
		p := page(c, commands, day)
		for _, f := range c.Flags {
			if !strings.Contains(p, `\fB\-\-`+escape(f.Name)+`\fR`) || f.Usage == "" {
				t.Errorf("%s: --%s is missing or says nothing", title(c), f.Name)
			}
		}
		if c.Usage == "" {
			t.Errorf("%s says nothing", title(c))
		}
		understood(t, title(c)+".8", p)
	}
}

// The guide to policies, as a page: whatever its tables name is a term of a list.
func TestPolicyPage(t *testing.T) {
	guide, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	text := understood(t, "bailey-policy.toml.5", policyPage(string(guide), day))
	for _, line := range []string{
		"bailey-policy.toml - what holds for all containers of a machine", "Which rule decides",
		`       userns "config"`, `       userns "require"`, "       run.bailey.seal --seal", "       run.bailey.securebits",
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %q in:\n%s", line, text)
		}
	}
	if strings.Contains(text, "|") || strings.Contains(text, ".md") {
		t.Errorf("Markdown is left:\n%s", text)
	}
}

// The shim's page has the flags that the shim has.
func TestShimPage(t *testing.T) {
	p := shimPage(day)
	understood(t, "containerd-shim-bailey-v2.8", p)
	help, err := exec.Command("go", "run", "../../cmd/containerd-shim-bailey-v2", "-help").CombinedOutput()
	flags := regexp.MustCompile(`(?m)^  (-[a-z-]+)`).FindAllSubmatch(help, -1)
	if err != nil || len(flags) < 8 {
		t.Fatalf("%v: %s", err, help)
	}
	for _, f := range flags {
		if !strings.Contains(p, `\fB`+string(f[1])+`\fP`) {
			t.Errorf("%s is missing", f[1])
		}
	}
}

// understood returns a page as man(1) shows it, which must find nothing wrong with it, nor mandoc(1), where they are installed.
func understood(t *testing.T, name, page string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
		t.Fatal(err)
	}
	if mandoc, err := exec.LookPath("mandoc"); err == nil {
		if out, err := exec.Command(mandoc, "-T", "lint", "-W", "warning", file).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	man, err := exec.LookPath("man")
	if err != nil {
		t.Skip("no man")
	}
	cmd := exec.Command(man, "--warnings", "-P", "cat", "-l", file)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=80")
	var warnings strings.Builder
	cmd.Stderr = &warnings
	out, err := cmd.Output()
	if err != nil || warnings.Len() > 0 || len(out) < 200 {
		t.Errorf("%s: %v, %s", name, err, warnings.String())
	}
	return string(out)
}

// What bash offers at some places of a command line.
func TestCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	dir := t.TempDir()
	script := filepath.Join(dir, "bailey.bash")
	if err := os.WriteFile(script, []byte(completion(cli.Manual())), 0o644); err != nil {
		t.Fatal(err)
	}
	// A program that lists containers.
	if err := os.WriteFile(dir+"/bailey", []byte("#!/bin/sh\n[ \"$*\" = 'list --quiet' ] && echo web db; [ \"$*\" = '--root /r list --quiet' ] && echo other\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"bailey st": "start state", "bailey --log /x cr": "create", "bailey create --pid": "--pid-file --pidfd-socket", "bailey kill ": "web db",
		"bailey exec --cwd /x d": "db", "bailey --root /r state ": "other", "bailey create ": "", "bailey --sys": "--systemd-cgroup",
	} {
		words := strings.Split(line, " ")
		run := exec.Command(bash, "-c", `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _bailey; echo "${COMPREPLY[@]}"`, "bash", script)
		run.Args = append(run.Args, words...)
		run.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		out, err := run.CombinedOutput()
		got, expected := strings.Fields(string(out)), strings.Fields(want)
		slices.Sort(got)
		slices.Sort(expected)
		if err != nil || !slices.Equal(got, expected) {
			t.Errorf("%q: %q, want %q (%v)", line, got, want, err)
		}
	}
}
