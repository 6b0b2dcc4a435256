package engine

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/internal/guide"
)

// Guide runs the commands of a page of the documentation, in order, each in a shell of its own, and compares what they print with
// what stands there. asUser makes a command one of an ordinary user's, for the prompt "$ ".
func Guide(t *testing.T, page, dir string, env []string, asUser func(c *exec.Cmd)) {
	t.Helper()
	steps, err := guide.Read(page)
	Must(t, err)
	for _, s := range steps {
		cmd := exec.Command("/bin/bash", "-c", s.Command)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
		if !s.Root {
			asUser(cmd)
		}
		// A file: a daemon that the command leaves may hold it open.
		out, err := os.Create(dir + "/.output")
		Must(t, err)
		cmd.Stdout, cmd.Stderr = out, out
		status := cmd.Run()
		out.Close()
		b, err := os.ReadFile(out.Name())
		Must(t, err)
		text := string(b)
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		if !s.Pattern().MatchString(text) {
			t.Errorf("%s:%d: %s\nprints (%v)\n%s", page, s.Line, s.Command, status, text)
		}
	}
}
