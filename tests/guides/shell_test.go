package guides

import (
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// A shell is one that commands are typed into.
type shell struct {
	e     *harness.Env
	cmd   *harness.Command
	stdin *os.File
	seen  int
}

// newShell starts a shell for a user, in the cgroups given. The first one has a pid namespace, so that what other tests do is not
// seen; the others join it.
func newShell(e *harness.Env, u user, cgroups []string, first *shell) *shell {
	e.T.Helper()
	r, w, err := os.Pipe()
	e.Must(err)
	defer r.Close()
	prefix := []string{"/bin/sh", "-c", `for d in $CGROUPS; do echo 0 >$d/cgroup.procs; done; exec "$@"`, "sh"}
	if first == nil {
		prefix = append(prefix, "unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
	} else {
		prefix = append(prefix, "nsenter", "--target", first.pid(), "--pid", "--mount", "--wd="+u.dir)
	}
	if u.id != 0 {
		id := fmt.Sprint(u.id)
		prefix = append(prefix, "setpriv", "--reuid", id, "--regid", id, "--clear-groups")
	}
	o := harness.Options{Prefix: prefix, Runtime: "/bin/bash", NoGlobals: true, Stdin: r, Dir: u.dir, Env: []string{
		"PATH=/srv/.bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + u.home, "USER=" + u.name, "LOGNAME=" + u.name,
		"LC_ALL=C.UTF-8", "XDG_RUNTIME_DIR=" + u.runtime, "CGROUPS=" + strings.Join(cgroups, " ")}}
	s := &shell{e: e, cmd: e.Start(o, "--norc", "--noprofile"), stdin: w}
	fmt.Fprintln(w, "exec 2>&1; unset CGROUPS")
	s.run(":") // it is there
	return s
}

// pid returns the number of the process that is first in the shell's pid namespace.
func (s *shell) pid() string {
	s.e.T.Helper()
	pid := fmt.Sprint(s.cmd.PID())
	b, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	s.e.Must(err)
	return strings.TrimSpace(string(b))
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
