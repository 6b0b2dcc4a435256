package hostile

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// ids cannot be those of a container.
var ids = []string{"", ".", "..", "../x", "a/b", "/etc", "a b", "ä", "a\nb", "a:b", "\x1b[2J", "a\xffb", "-x/", strings.Repeat("x", 256), strings.Repeat("../", 60) + "etc"}

func TestIDs(t *testing.T) {
	p := newPlace(t)
	c := p.Container(harness.Args("true"))
	check := p.unchanged(p.Dir)
	for _, id := range ids {
		for _, command := range [][]string{
			{"create", "--bundle", c.Bundle}, {"run", "--bundle", c.Bundle}, {"start"}, {"state"}, {"kill"}, {"delete"}, {"delete", "--force"}, {"exec"},
		} {
			args := append(append([]string{}, command...), "--", id)
			if command[0] == "exec" {
				args = append(args, "true")
			}
			p.failed(p.Bailey(args...), "invalid container ID format")
		}
	}
	p.Must(os.Remove(p.Log))
	check()
	p.nothingLeft()
}

// arguments are refused whatever there is. @BUNDLE stands for a bundle, @ID for an ID that is free.
var arguments = []struct {
	name, line, want string
}{
	{"unknown command", "explode", "explode"},
	{"unknown flag of a command", "create --explode @ID", "explode"},
	{"value missing", "create --bundle", "bundle"},
	{"ID missing", "create --bundle @BUNDLE", "an argument is missing"},
	{"two IDs", "create --bundle @BUNDLE @ID more", "one argument too many: \"more\""},
	{"command missing", "exec @ID", "an argument is missing"},
	{"log level", "--log-level loud list", "--log-level"},
	{"cgroup manager", "--cgroup-manager none create --bundle @BUNDLE @ID", "--cgroup-manager"},
	{"rootless", "--rootless perhaps list", "--rootless"},
	{"systemd that is not there", "--systemd-cgroup create --bundle @BUNDLE @ID", "systemd"},
	{"bool with a word", "run --detach=maybe --bundle @BUNDLE @ID", "detach"},
	{"root a file", "--root @BUNDLE/config.json create --bundle @BUNDLE @ID", "--root"},
	{"root below a file", "--root @BUNDLE/config.json/x create --bundle @BUNDLE @ID", "--root"},
	{"root in procfs", "--root /proc/x create --bundle @BUNDLE @ID", "--root"},
	{"root a device", "--root /dev/null create --bundle @BUNDLE @ID", "--root"},
	{"root a FIFO", "--root @BUNDLE/fifo state @ID", "--root"},
	{"console socket without a terminal", "create --console-socket @BUNDLE/none --bundle @BUNDLE @ID", "--console-socket"},
	{"detached terminal without a socket", "run --detach --bundle @TERMINAL @ID", "/process/terminal"},
	{"created terminal without a socket", "create --bundle @TERMINAL @ID", "/process/terminal"},
	{"console socket missing", "create --console-socket @BUNDLE/none --bundle @TERMINAL @ID", "--console-socket"},
	{"console socket a FIFO", "create --console-socket @BUNDLE/fifo --bundle @TERMINAL @ID", "--console-socket"},
	{"console socket a file", "run --detach --console-socket @BUNDLE/config.json --bundle @TERMINAL @ID", "--console-socket"},
	{"console socket that nobody listens to", "create --console-socket @BUNDLE/dead --bundle @TERMINAL @ID", "--console-socket"},
	{"pidfd socket missing", "create --pidfd-socket @BUNDLE/none --bundle @BUNDLE @ID", "--pidfd-socket"},
	{"pidfd socket a FIFO", "run --pidfd-socket @BUNDLE/fifo --bundle @BUNDLE @ID", "--pidfd-socket"},
	{"pid file in a missing directory", "create --pid-file @BUNDLE/none/pid --bundle @BUNDLE @ID", "--pid-file"},
	{"pid file a directory", "create --pid-file @BUNDLE/rootfs --bundle @BUNDLE @ID", "--pid-file"},
	{"pid file below a file", "run --pid-file @BUNDLE/config.json/x --bundle @BUNDLE @ID", "--pid-file"},
	{"descriptors that are not open", "run --preserve-fds 1 --bundle @BUNDLE @ID", "--preserve-fds"},
	{"descriptors without end", "create --preserve-fds 4294967295 --bundle @BUNDLE @ID", "--preserve-fds"},
	{"descriptors that are none in 32 bits", "run --preserve-fds 4294967296 --bundle @BUNDLE @ID", "--preserve-fds"},
	{"descriptors negative", "run --preserve-fds -1 --bundle @BUNDLE @ID", "preserve-fds"},
	{"signal of a container that is none", "kill @ID KILL", "does not exist"},
	{"process file of a container that is none", "exec --process @BUNDLE/fifo @ID", "not a regular file"},
	{"spec over a config", "spec --bundle @BUNDLE", "config.json"},
	{"update from a FIFO", "update --resources @BUNDLE/fifo @ID", "update @ID"},
	{"update from a directory", "update --resources @BUNDLE @ID", "--resources"},
	{"update with a size", "update --memory 1q @ID", "--memory"},
}

func TestArguments(t *testing.T) {
	for _, tc := range arguments {
		t.Run(tc.name, func(t *testing.T) {
			p := newPlace(t)
			c := p.Container(harness.Args("true"))
			term := p.Container(harness.Args("true"), harness.Terminal)
			p.Must(unix.Mkfifo(c.Bundle+"/fifo", 0o600))
			p.Must(unix.Mknod(c.Bundle+"/dead", unix.S_IFSOCK|0o600, 0))
			check := p.unchanged(c.Bundle)
			fill := strings.NewReplacer("@BUNDLE", c.Bundle, "@TERMINAL", term.Bundle, "@ID", c.ID).Replace
			p.refused(p.Bailey(strings.Fields(fill(tc.line))...), fill(tc.want))
			check()
		})
	}
}

// A log that cannot be written to, or only by waiting for somebody, is no reason not to work.
func TestLogs(t *testing.T) {
	p := newPlace(t)
	c := p.Container(harness.Args("true"))
	for _, log := range []string{p.fifo("log"), p.Path("none/log"), p.outside, "/dev/full", p.outside + "/keep/x"} {
		r := p.Run(harness.Options{NoGlobals: true}, "--root", p.Root, "--log", log, "--log-format", "json", "run", "--bundle", c.Bundle, c.ID)
		r.OK(p.Env)
		r = p.Run(harness.Options{NoGlobals: true}, "--root", p.Root, "--log", log, "state", c.ID)
		if r.Code != 1 || !strings.Contains(r.Stderr, "bailey: state "+c.ID+": ") {
			t.Error(r)
		}
	}
	p.nothingLeft()
}

// What a running container's commands refuse changes nothing about it.
var onRunning = []struct {
	name string
	args []string
	want string
}{
	{"signal unknown", []string{"kill", "@ID", "SIGNOPE"}, "SIGNOPE"},
	{"signal too high", []string{"kill", "@ID", "65"}, "65"},
	{"signal negative", []string{"kill", "--", "@ID", "-9"}, "-9"},
	{"signal that overflows", []string{"kill", "@ID", "265"}, "265"},
	{"signal with a blank", []string{"kill", "@ID", "9 "}, "signal"},
	{"real-time signal too high", []string{"kill", "@ID", "RTMAX+1"}, "RTMAX+1"},
	{"user a name", []string{"exec", "--user", "root", "@ID", "true"}, "--user"},
	{"user negative", []string{"exec", "--user=-1", "@ID", "true"}, "--user"},
	{"user none", []string{"exec", "--user", "4294967295", "@ID", "true"}, "--user"},
	{"user without a group", []string{"exec", "--user", "0:", "@ID", "true"}, "--user"},
	{"user with too much", []string{"exec", "--user", "0:0:0", "@ID", "true"}, "--user"},
	{"user that overflows", []string{"exec", "--user", "4294967296", "@ID", "true"}, "--user"},
	{"group a name", []string{"exec", "--additional-gids", "wheel", "@ID", "true"}, "--additional-gids"},
	{"cwd relative", []string{"exec", "--cwd", "tmp", "@ID", "true"}, "cwd"},
	{"cwd a file", []string{"exec", "--cwd", "/etc/passwd", "@ID", "true"}, "cwd"},
	{"cwd missing", []string{"exec", "--cwd", "/absolute", "@ID", "true"}, "cwd"},
	{"env without a value", []string{"exec", "--env", "A", "@ID", "true"}, "env"},
	{"executable missing", []string{"exec", "@ID", "/bin/none"}, "/bin/none"},
	{"executable a directory", []string{"exec", "@ID", "/etc"}, "/etc"},
	{"executable empty", []string{"exec", "@ID", ""}, "args"},
	{"process a FIFO", []string{"exec", "--process", "@DIR/fifo", "@ID"}, "not a regular file"},
	{"process missing", []string{"exec", "--process", "@DIR/none", "@ID"}, "ENOENT"},
	{"process garbage", []string{"exec", "--process", "@DIR/garbage", "@ID"}, "object"},
	{"process empty", []string{"exec", "--process", "@DIR/empty", "@ID"}, "/args"},
	{"detached terminal", []string{"exec", "--detach", "--tty", "@ID", "true"}, "terminal"},
	{"console socket without a terminal", []string{"exec", "--console-socket", "@DIR/none", "@ID", "true"}, "--console-socket"},
	{"pid file in a missing directory", []string{"exec", "--pid-file", "@DIR/none/pid", "@ID", "true"}, "--pid-file"},
	{"pidfd socket missing", []string{"exec", "--pidfd-socket", "@DIR/none", "@ID", "true"}, "--pidfd-socket"},
	{"descriptors that are not open", []string{"exec", "--preserve-fds", "3", "@ID", "true"}, "--preserve-fds"},
	{"cgroup that leads out", []string{"exec", "--cgroup", "../..", "@ID", "true"}, "cgroup"},
	{"cgroup missing", []string{"exec", "--cgroup", "none", "@ID", "true"}, "none"},
	{"cgroup of a controller that is none", []string{"exec", "--cgroup", "none:/", "@ID", "true"}, "none"},
	{"delete", []string{"delete", "@ID"}, "not stopped"},
	{"start", []string{"start", "@ID"}, "running"},
	{"resume", []string{"resume", "@ID"}, "not paused"},
	{"update", []string{"update", "--cpuset-cpus", "4000", "@ID"}, "cpus"},
}

func TestOnRunning(t *testing.T) {
	p := newPlace(t)
	c := p.Container()
	p.fifo("fifo")
	p.hostileRootfs(c.Rootfs)
	p.WriteFile("garbage", "[]", 0o644)
	p.WriteFile("empty", "{}", 0o644)
	c.RunDetached().OK(p.Env)
	before := c.State()
	for _, tc := range onRunning {
		t.Run(tc.name, func(t *testing.T) {
			args := make([]string, len(tc.args))
			for i, a := range tc.args {
				args[i] = strings.NewReplacer("@DIR", p.Dir, "@ID", c.ID).Replace(a)
			}
			p.failed(p.Bailey(args...), tc.want)
			if s := c.State(); s.Status != "running" || s.PID != before.PID {
				t.Errorf("the container: %+v", s)
			}
			p.Eventually("nothing but the container's init is left", func() bool { return len(p.Processes()) == 1 })
		})
	}
	c.Delete("--force").OK(p.Env)
	p.nothingLeft()
}
