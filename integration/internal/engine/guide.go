package engine

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/guide"
)

// OwnLocal makes /usr/local an empty one of the test's own: the machine's programs are not to be replaced.
func OwnLocal(t testing.TB) {
	t.Helper()
	Must(t, unix.Mount("tmpfs", "/usr/local", "tmpfs", 0, "mode=755"))
	t.Cleanup(func() { Must(t, unix.Unmount("/usr/local", unix.MNT_DETACH)) })
	for _, dir := range []string{"sbin", "bin"} {
		Must(t, os.Mkdir("/usr/local/"+dir, 0o755))
	}
}

const systemctl = `#!/bin/bash
set -e
[[ "$*" =~ ^(start|stop|restart)\ SERVICE$ ]]
if [ "$1" != start ] && [ -e DIR/pid ]; then
	pid=$(cat DIR/pid)
	rm DIR/pid
	kill "$pid"
	# One that nobody reaps has no command line.
	while [ -n "$(tr -d '\0' 2>/dev/null </proc/"$pid"/cmdline)" ]; do sleep 0.05; done
fi
[ "$1" != stop ] || exit 0
daemon() {
	setsid "$@" >>DIR/log 2>&1 </dev/null &
	echo $! >DIR/pid
}
START
`

// Systemctl makes a stand-in for systemd's in /usr/local/bin, which starts and stops a service. start is a script that starts its
// daemon by "daemon PROGRAM ARG...", and waits for it. With the test the daemon ends, too.
func Systemctl(t testing.TB, service, start string) {
	t.Helper()
	OwnLocal(t)
	dir, program := t.TempDir(), "/usr/local/bin/systemctl"
	text := strings.NewReplacer("SERVICE", service, "DIR", dir, "START", start).Replace(systemctl)
	Must(t, os.WriteFile(program, []byte(text), 0o755))
	t.Cleanup(func() {
		if out, err := exec.Command(program, "stop", service).CombinedOutput(); err != nil {
			t.Errorf("%s is not stopped: %v: %s", service, err, out)
		}
		TellLog(t, dir+"/log")
	})
}

// Guide runs the commands of a page of the documentation, in order, each in a shell of its own, and compares what they print with
// what stands there. asUser makes a command one of an ordinary user's, for the prompt "$ ".
func Guide(t *testing.T, page, dir string, env []string, asUser func(c *exec.Cmd)) {
	t.Helper()
	page = os.Getenv("BAILEY_DOCS") + "/" + page
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
