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
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := startChild(cmd)
	if err == nil {
		err = cmd.Wait()
		endChild(cmd)
	}
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out.String())
	}
	return out.String()
}
