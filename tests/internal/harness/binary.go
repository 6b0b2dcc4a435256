package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// BinaryVariable names the variable of the environment with the path of the runtime to test.
const BinaryVariable = "BAILEY_BINARY"

// ProgramsVariable names the variable with the directory of the programs that the tests need, for machines without Go:
// abroad, attack, bailey, bailey-faults, confined, probe, raid.
const ProgramsVariable = "BAILEY_PROGRAMS"

type program struct {
	once sync.Once
	path string
	err  error
}

var (
	runtimeBinary, faultyBinary, probeBinary, confinedBinary program
	attackBinary, raidBinary, abroadBinary                   program

	// As in the Makefile.
	binaryFlags = []string{"-trimpath", "-buildvcs=false", "-ldflags", "-s -w -E baileyentry"}
)

// Binary returns the path of the runtime.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv(BinaryVariable); path != "" {
		return path
	}
	return runtimeBinary.get(t, "bailey", ".", "CGO_ENABLED=0", binaryFlags...)
}

// FaultyBinary returns the path of a runtime that ends itself where $BAILEY_FAULT says.
func FaultyBinary(t testing.TB) string {
	t.Helper()
	return faultyBinary.get(t, "bailey-faults", ".", "CGO_ENABLED=0", append([]string{"-tags", "faults"}, binaryFlags...)...)
}

// Probe returns the path of the program that containers find as /bin/probe.
func Probe(t testing.TB) string {
	t.Helper()
	return probeBinary.get(t, "probe", "./tests/internal/probe", "CGO_ENABLED=0", "-trimpath", "-buildvcs=false")
}

// Confined returns the path of a program that runs containers with choices for which the command line has no flags.
func Confined(t testing.TB) string {
	t.Helper()
	return confinedBinary.get(t, "confined", "./tests/internal/confined", "CGO_ENABLED=0", "-trimpath", "-buildvcs=false")
}

// Attack returns the path of a program that tries to get out of the container that it is in.
func Attack(t testing.TB) string { t.Helper(); return attackBinary.compiled(t, "attack") }

// Raid returns the path of a program with attacks in several steps. It is to be in the root directory of a container.
func Raid(t testing.TB) string { t.Helper(); return raidBinary.compiled(t, "raid") }

// Abroad returns the path of a program with attacks on what is outside of the container.
func Abroad(t testing.TB) string { t.Helper(); return abroadBinary.compiled(t, "abroad") }

// compiled compiles one of the C programs in tests/internal/attack.
func (p *program) compiled(t testing.TB, name string) string {
	t.Helper()
	return p.made(t, name, func() (string, error) {
		root, err := module()
		if err != nil {
			return "", err
		}
		path := filepath.Join(base, name)
		return path, execute("gcc", "-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-static", "-o", path, root+"/tests/internal/attack/"+name+".c")
	})
}

// execute runs a program; its output is part of the error.
func execute(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := startChild(cmd); err != nil {
		return err
	}
	defer endChild(cmd)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out.String())
	}
	return nil
}

func (p *program) get(t testing.TB, name, pkg, env string, flags ...string) string {
	t.Helper()
	return p.made(t, name, func() (string, error) { return build(name, pkg, env, flags) })
}

// made makes the program once, or takes it from where programs are given.
func (p *program) made(t testing.TB, name string, build func() (string, error)) string {
	t.Helper()
	p.once.Do(func() {
		if dir := os.Getenv(ProgramsVariable); dir != "" {
			p.path = filepath.Join(base, name)
			p.err = copyFile(filepath.Join(dir, name), p.path)
			return
		}
		p.path, p.err = build()
	})
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p.path
}

// build keeps what it builds in build/test, where an unchanged program is not linked again, and returns a
// copy of it, because another test process may be building at any time.
func build(name, pkg, env string, flags []string) (string, error) {
	root, err := module()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "build/test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.Create(filepath.Join(dir, "."+name+".lock"))
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", err
	}
	built := filepath.Join(dir, name)
	cmd := exec.Command("go", append(append([]string{"build", "-o", built}, flags...), pkg)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), env)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := startChild(cmd); err != nil {
		return "", err
	}
	defer endChild(cmd)
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out.String())
	}
	return filepath.Join(base, name), copyFile(built, filepath.Join(base, name))
}

// Source returns the path of a file of this repository.
func Source(t testing.TB, name string) string {
	t.Helper()
	root, err := module()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, name)
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}
