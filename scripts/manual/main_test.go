package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/cli"
)

// Every command has a page, and every flag a place in it, in a form that man(1) understands.
func TestPages(t *testing.T) {
	commands := cli.Manual()
	if len(commands) < 17 {
		t.Fatalf("%d commands", len(commands))
	}
	for _, c := range commands {
		p := page(c, commands)
		for _, f := range c.Flags {
			if !strings.Contains(p, `\fB\-\-`+escape(f.Name)+`\fR`) || f.Usage == "" {
				t.Errorf("%s: --%s is missing or says nothing", title(c), f.Name)
			}
		}
		if c.Usage == "" {
			t.Errorf("%s says nothing", title(c))
		}
		if man, err := exec.LookPath("man"); err == nil {
			file := filepath.Join(t.TempDir(), title(c)+".8")
			if err := os.WriteFile(file, []byte(p), 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(man, "--warnings", "-P", "cat", file)
			cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=80")
			var warnings strings.Builder
			cmd.Stderr = &warnings
			if out, err := cmd.Output(); err != nil || warnings.Len() > 0 || len(out) < 200 {
				t.Errorf("%s: %v, %s", title(c), err, warnings.String())
			}
		}
	}
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
