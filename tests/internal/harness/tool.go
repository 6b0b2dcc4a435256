package harness

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// Tool runs a program of the machine's with a standard input and returns what it prints. The test ends if it fails.
func Tool(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	return tool(t, func(f func()) { f() }, stdin, name, args...)
}

// Tool is the function Tool in the Env's mount namespace.
func (e *Env) Tool(name string, args ...string) string {
	e.T.Helper()
	return tool(e.T, e.Do, "", name, args...)
}

// tool has the program started by a function that do is given.
func tool(t testing.TB, do func(func()), stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	var err error
	do(func() { err = startChild(cmd) })
	if err == nil {
		err = cmd.Wait()
		endChild(cmd)
	}
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out.String())
	}
	return out.String()
}

// HasTool reports whether the machine has a program.
func HasTool(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}
