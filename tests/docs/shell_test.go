package docs

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// A shell is one that commands are typed into.
type shell struct {
	e     *harness.Env
	cmd   *harness.Command
	stdin *os.File
	seen  int
}

// newShell starts a shell, as root or alice.
func newShell(e *harness.Env, u user) *shell {
	e.T.Helper()
	r, w, err := os.Pipe()
	e.Must(err)
	defer r.Close()
	o := harness.Options{Runtime: "/bin/bash", NoGlobals: true, Stdin: r, Dir: u.dir, Env: []string{
		"PATH=/srv/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + u.home, "USER=" + u.name, "LOGNAME=" + u.name,
		"LC_ALL=C.UTF-8", "XDG_RUNTIME_DIR=" + u.runtime}}
	if u.id != 0 {
		o.Credential = &syscall.Credential{Uid: u.id, Gid: u.id}
	}
	s := &shell{e: e, cmd: e.Start(o, "--norc", "--noprofile"), stdin: w}
	fmt.Fprintln(w, "exec 2>&1")
	return s
}

// run types a command and returns what it prints.
func (s *shell) run(command string) string {
	s.e.T.Helper()
	const mark = "-- end of the command: "
	// A command that reads gets nothing, and not what is typed next.
	fmt.Fprintf(s.stdin, "{ %s\n} </dev/null; echo '%s'$?\n", command, mark)
	var out string
	s.e.Eventually(command+" ends", func() bool {
		out = s.cmd.Stdout()[s.seen:]
		return regexp.MustCompile(mark+`\d+\n\z`).MatchString(out) || !s.cmd.Running()
	})
	s.seen += len(out)
	out, _, _ = strings.Cut(out, mark)
	return out
}

// end has the shell end.
func (s *shell) end() {
	s.stdin.Close()
	s.cmd.Wait()
}
