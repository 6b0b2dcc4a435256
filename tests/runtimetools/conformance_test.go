package runtimetools

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var (
	resultsFile = flag.String("results", "", "write what was seen to `FILE`, in the format of the list")
	viewsFlag   = flag.String("views", strings.Join(allViews, ","), "cgroup views to run in")
)

const (
	programTimeout = 2 * time.Minute
	racyAttempts   = 3
	racyTime       = 5 * time.Second // no further attempt after this
	noSuchView     = 3               // exit status of scripts/cgroup-view
)

// Most of their time the programs sleep, up to ten seconds at once.
const programsAtOnce = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", programsAtOnce); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("several minutes long")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	s := newSuite(t)
	list := readList(t)
	for _, view := range strings.Split(*viewsFlag, ",") {
		t.Run(view, func(t *testing.T) {
			t.Parallel()
			if out, err := exec.Command(s.cgroupView, view, "true").CombinedOutput(); err != nil {
				var exit *exec.ExitError
				if errors.As(err, &exit) && exit.ExitCode() == noSuchView {
					t.Skipf("%s", bytes.TrimSpace(out))
				}
				t.Fatalf("%v: %s", err, out)
			}
			var passed atomic.Int64
			t.Cleanup(func() { t.Logf("%d assertions held", passed.Load()) })
			for _, program := range s.programs {
				t.Run(program, func(t *testing.T) {
					t.Parallel()
					passed.Add(int64(s.check(t, list, program, view)))
				})
			}
		})
	}
}

// suite is everything that the programs need: they find rootfs and runtimetest in their working directory.
type suite struct {
	cgroupView string
	bin        string   // the built programs
	dir        string   // working directory: rootfs archive and runtimetest
	runtime    string   // what $RUNTIME points at: the runtime with a root of its own, $RUNTIME_ROOT
	programs   []string // names, sorted

	cgroups sync.Mutex // the suite's cgroups: their names are fixed
	results sync.Mutex // resultsFile
}

// usesFixedCgroups reports whether a program uses cgroups with the suite's fixed names.
func usesFixedCgroups(program string) bool {
	return strings.HasPrefix(program, "linux_cgroups_") || strings.HasSuffix(program, "_resources")
}

func newSuite(t *testing.T) *suite {
	repo, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	s := &suite{
		cgroupView: filepath.Join(repo, "scripts/cgroup-view"),
		bin:        filepath.Join(repo, "build/conformance"),
		dir:        t.TempDir(),
	}
	target := os.Getenv("RUNTIME")
	if target == "" {
		target = filepath.Join(repo, "bin/bailey")
		if _, err := os.Stat(target); err != nil {
			t.Skipf("no runtime to test: %v (make build, or set RUNTIME)", err)
		}
	}
	if target, err = exec.LookPath(target); err != nil {
		t.Fatalf("RUNTIME: %v", err)
	}
	if target, err = filepath.Abs(target); err != nil {
		t.Fatal(err)
	}
	s.build(t, filepath.Join(repo, "tests/conformance"))

	s.runtime = filepath.Join(s.dir, "runtime")
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' --root \"$RUNTIME_ROOT\" \"$@\"\n", target)
	if err := os.WriteFile(s.runtime, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

// build compiles the programs (a no-op when they are up to date) and lays out the working directory.
func (s *suite) build(t *testing.T, module string) {
	goTool := func(env string, args ...string) string {
		t.Helper()
		cmd := exec.Command("go", args...)
		cmd.Dir = module
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", env)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, &stderr)
		}
		return strings.TrimSpace(string(out))
	}
	const tools = "github.com/opencontainers/runtime-tools"
	if err := os.MkdirAll(s.bin, 0o755); err != nil {
		t.Fatal(err)
	}
	// Static: runtimetest runs inside the containers, whose root file system has no libc.
	goTool("CGO_ENABLED=0", "build", "-trimpath", "-ldflags=-s -w", "-o", s.bin+"/", "tool")
	from := goTool("CGO_ENABLED=0", "list", "-m", "-f", "{{.Dir}}", tools)
	rootfs := "rootfs-" + runtime.GOARCH + ".tar.gz"
	if _, err := os.Stat(filepath.Join(from, rootfs)); err != nil {
		t.Skipf("runtime-tools has no root file system for this architecture: %v", err)
	}
	for name, source := range map[string]string{
		rootfs:        filepath.Join(from, rootfs),
		"runtimetest": filepath.Join(s.bin, "runtimetest"),
	} {
		// Copies: the programs would copy a symbolic link as one.
		content, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range strings.Fields(goTool("CGO_ENABLED=0", "list", "-f", "{{.ImportPath}}", "tool")) {
		if strings.HasPrefix(line, tools+"/validation/") {
			s.programs = append(s.programs, filepath.Base(line))
		}
	}
	if len(s.programs) == 0 {
		t.Fatal("the module names no validation program")
	}
	slices.Sort(s.programs)
}

func readList(t *testing.T) []expectation {
	f, err := os.Open("expected.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pageSizes, err := filepath.Glob("/sys/kernel/mm/hugepages/hugepages-*")
	if err != nil {
		t.Fatal(err)
	}
	list, err := parseExpected(f, len(pageSizes))
	if err != nil {
		t.Fatalf("expected.txt: %v", err)
	}
	return list
}

// check runs one program in one view, compares, and returns the number of assertions that held.
func (s *suite) check(t *testing.T, list []expectation, program, view string) int {
	e, ok := find(list, program, view)
	if !ok {
		t.Errorf("expected.txt has no entry for %s in %s", program, view)
	}
	if e.kind == kindNeeds {
		if why := lacks(t, e.needs); why != "" {
			t.Skipf("%s: %s", why, e.reason)
		}
	}
	if usesFixedCgroups(program) {
		s.cgroups.Lock()
		defer s.cgroups.Unlock()
		defer removeCgroups(t, s.cgroupView, view)
	}
	begin := time.Now()
	out := s.run(t, program, view)
	attempts := 1
	for e.kind == kindRacy && len(out.defects) > 0 && attempts < racyAttempts && time.Since(begin) < racyTime {
		out = s.run(t, program, view)
		attempts++
	}
	s.record(t, e, program, view, out)
	why := e.judge(out)
	switch {
	case !ok:
	case e.kind == kindRacy && why != "":
		t.Skipf("failed %d times, not gated (%s); %s", attempts, e.reason, why)
	case why != "":
		t.Error(why)
	case e.kind == kindPartial:
		t.Logf("partial as listed: %s", e.reason)
	}
	return out.passed
}

// lacks says why this machine cannot run a program that needs something, or nothing if it can.
func lacks(t *testing.T, need string) string {
	switch need {
	case needSysResource:
		const capSysResource = 24
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(status), "\nCapBnd:\t")
		hex, _, _ := strings.Cut(after, "\n")
		bounding, err := strconv.ParseUint(hex, 16, 64)
		if err != nil {
			t.Fatalf("CapBnd in /proc/self/status: %v", err)
		}
		if bounding&(1<<capSysResource) == 0 {
			return "no CAP_SYS_RESOURCE here"
		}
	case needAppArmor:
		if on, err := os.ReadFile("/sys/module/apparmor/parameters/enabled"); err != nil || on[0] != 'Y' {
			return "no AppArmor here"
		}
	}
	return ""
}

// run executes a program once and removes whatever it left.
func (s *suite) run(t *testing.T, program, view string) outcome {
	ctx, cancel := context.WithTimeout(t.Context(), programTimeout)
	defer cancel()
	// Bundles lie on a tmpfs: the programs unpack some 200 of them in all.
	const onTmpfs = `mount -t tmpfs -o mode=711 tmpfs "$TMPDIR" && exec "$0"`
	cmd := exec.CommandContext(ctx, s.cgroupView, view, "sh", "-c", onTmpfs, filepath.Join(s.bin, program))
	cmd.Dir = s.dir
	// Not t.TempDir: the suite makes its bundles there and does not always remove them while they are in use.
	tmp, err := os.MkdirTemp("", "ct")
	if err != nil {
		t.Fatal(err)
	}
	reachable(t, tmp)
	// A root directory of its own, short because sockets live below it. Whatever a program leaves behind
	// is found there.
	root := filepath.Join(tmp, "root")
	bundles := filepath.Join(tmp, "bundles")
	for _, dir := range []string{root, bundles} {
		if err := os.Mkdir(dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Env = append(os.Environ(), "RUNTIME="+s.runtime, "RUNTIME_ROOT="+root, "TMPDIR="+bundles)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	s.cleanUp(t, view, tmp, root)

	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return outcome{defects: []string{"timed out after " + programTimeout.String()}}
	case err != nil && !errors.As(err, &exit):
		t.Fatal(err)
	}
	out := parseTAP(stdout.String(), stderr.String(), cmd.ProcessState.ExitCode())
	if len(out.defects) > 0 && testing.Verbose() {
		t.Logf("stderr: %s", &stderr)
	}
	return out
}

// reachable lets the mapped root of a user namespace, who owns nothing here, pass through a directory.
func reachable(t *testing.T, dir string) {
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
}

// cleanUp removes containers and bundles.
func (s *suite) cleanUp(t *testing.T, view, tmp, root string) {
	ids, err := os.ReadDir(root)
	if err != nil {
		t.Error(err)
	}
	for _, id := range ids {
		if strings.ContainsRune(".@", rune(id.Name()[0])) {
			continue // a runtime's own files
		}
		cmd := exec.Command(s.cgroupView, view, s.runtime, "delete", "--force", id.Name())
		cmd.Env = append(os.Environ(), "RUNTIME_ROOT="+root)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Logf("delete --force %s: %v: %s", id.Name(), err, bytes.TrimSpace(out))
		}
	}
	if err := os.RemoveAll(tmp); err != nil {
		t.Logf("left behind: %v", err)
	}
}

// removeCgroups removes the suite's cgroups, absolute and (testdir) relative to ours; what is still in use
// stays.
func removeCgroups(t *testing.T, cgroupView, view string) {
	const cgroups = `find /sys/fs/cgroup -depth -type d \( -path "*/cgrouptest*" -o -path "*/testdir*" \) -exec rmdir {} \; 2>/dev/null || :`
	if out, err := exec.Command(cgroupView, view, "sh", "-c", cgroups).CombinedOutput(); err != nil {
		t.Errorf("removing cgroups: %v: %s", err, out)
	}
}

// record appends what was seen to the results file.
func (s *suite) record(t *testing.T, e expectation, program, view string, out outcome) {
	if *resultsFile == "" {
		return
	}
	s.results.Lock()
	defer s.results.Unlock()
	f, err := os.OpenFile(*resultsFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	kind := kindPass
	switch {
	case e.kind == kindRacy:
		kind = kindRacy
	case e.kind == kindNeeds && len(out.defects) == 0:
		kind = kindNeeds + e.needs
	case len(out.defects) > 0:
		kind = kindPartial
	case out.passed == 0:
		kind = kindSilent
	}
	fmt.Fprintf(f, "%s %s %s %s\n", program, view, kind, e.reason)
	for _, d := range out.defects {
		fmt.Fprintf(f, "\t%s\n", d)
	}
}
