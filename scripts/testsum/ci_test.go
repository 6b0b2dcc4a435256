package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ci returns a call of .ci/run in a directory of its own, with the tests of two engines and a program for make.
func ci(t *testing.T, make, env string) *exec.Cmd {
	t.Helper()
	script, err := os.ReadFile("../../.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for file, text := range map[string]string{
		".ci/run": string(script), "make": "#!/bin/sh\n" + make + "\n",
		"integration/one/a_test.go": "", "integration/one/b_test.go": "", "integration/two/a_test.go": "", "integration/internal/engine/engine.go": "",
	} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(dir + "/.ci/run")
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), env)
	return cmd
}

// What .ci/run makes of the parts that it runs: one line, one status.
func TestCI(t *testing.T) {
	for name, c := range map[string]struct{ make, env, last, before string }{
		"everything passes": {
			make: `case $* in test) echo "10 passed, 0 failed, 3 skipped";; *) echo "5 passed, 0 failed, 1 skipped"; echo "make: said later";; esac`,
			last: "20 passed, 0 failed, 5 skipped", before: "make: said later",
		},
		"an engine's test fails": {
			make: `case $* in *ENGINES=one*) echo "4 passed, 1 failed, 0 skipped"; exit 1;; *) echo "5 passed, 0 failed, 0 skipped";; esac`,
			last: "14 passed, 1 failed, 0 skipped",
		},
		"an engine's test fails once": {
			make: `case $* in *ENGINES=one*) [ ! -e once ] || { echo "5 passed, 0 failed, 0 skipped"; exit; }; touch once; echo "4 passed, 1 failed, 0 skipped"; exit 1;; *) echo "5 passed, 0 failed, 0 skipped";; esac`,
			last: "15 passed, 0 failed, 0 skipped",
		},
		"a part dies before its count": {
			make: `case $* in *ENGINES=two*) echo "oops"; exit 2;; *) echo "5 passed, 0 failed, 0 skipped";; esac`,
			last: "10 passed, 1 failed, 0 skipped", before: "oops",
		},
		"a part fails after its count": {
			make: `echo "5 passed, 0 failed, 0 skipped"; [ "$*" != test ]`,
			last: "15 passed, 1 failed, 0 skipped",
		},
		"nothing counts": {make: `true`, last: "0 passed, 3 failed, 0 skipped"},
		"no time for engines": {
			make: `echo "5 passed, 0 failed, 0 skipped"`, env: "CI_BEGIN=0",
			last: "5 passed, 0 failed, 2 skipped", before: "not begun, for want of time: the tests with two",
		},
		"a part hangs": {
			make: `case $* in *ENGINES=one*) sleep 60;; *) echo "5 passed, 0 failed, 0 skipped";; esac`, env: "CI_LIMIT=3",
			last: "10 passed, 1 failed, 0 skipped",
		},
		"a daemon holds the output": {
			make: `sleep 60 & echo $! >>daemons; echo "5 passed, 0 failed, 0 skipped"`, last: "15 passed, 0 failed, 0 skipped",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := ci(t, c.make, c.env)
			dir := filepath.Dir(filepath.Dir(cmd.Path))
			out, err := cmd.Output()
			if pids, readErr := os.ReadFile(dir + "/daemons"); readErr == nil {
				_ = exec.Command("kill", strings.Fields(string(pids))...).Run()
			}
			lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
			if last := lines[len(lines)-1]; last != c.last || (err == nil) != strings.Contains(last, " 0 failed") {
				t.Errorf("%q, %v; want %q", out, err, c.last)
			}
			if c.before != "" && (len(lines) < 2 || lines[len(lines)-2] != c.before) {
				t.Errorf("%q; want %q before the last line", out, c.before)
			}
		})
	}
}

// Who ends .ci/run ends what it runs.
func TestCIEnded(t *testing.T) {
	t.Parallel()
	cmd := ci(t, "echo started; exec sleep 60", "")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "started\n" {
		t.Errorf("%q, %v", line, err)
	}
	begin := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// The end of the output is that of everybody who could write to it.
	if rest, err := io.ReadAll(out); err != nil || strings.Contains(string(rest), "passed") {
		t.Errorf("%q, %v", rest, err)
	}
	if err := cmd.Wait(); err == nil || time.Since(begin) > 20*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
}
