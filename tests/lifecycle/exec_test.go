package lifecycle

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// exec in every view, with and without a user namespace: the process is in the same namespaces and cgroups
// as the init.
func TestExecPlace(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		for _, change := range []harness.Change{harness.All(), harness.UserNamespace} {
			c := e.Container(change)
			c.RunDetached().OK(e)
			pid := c.PID()
			c.Exec([]string{"--detach", "--pid-file", e.Path("exec.pid")}, "sleep", "100000").OK(e)
			executed := e.PIDFile(e.Path("exec.pid"))
			for _, kind := range []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"} {
				if !exists("/proc/self/ns/" + kind) {
					continue // not in this kernel
				}
				if a, b := harness.Namespace(pid, kind), harness.Namespace(executed, kind); a != b || a == "" {
					t.Errorf("%s namespace: init in %s, executed in %s", kind, a, b)
				}
			}
			if a, b := e.ProcFile(pid, "cgroup"), e.ProcFile(executed, "cgroup"); a != b {
				t.Errorf("cgroups: init in\n%s\nexecuted in\n%s", a, b)
			}
			for _, field := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Uid", "Gid", "Umask"} {
				if a, b := e.Status(pid)[field], e.Status(executed)[field]; a != b {
					t.Errorf("%s: init %s, executed %s", field, a, b)
				}
			}
			if a, b := e.Limits(pid)["Max open files"], e.Limits(executed)["Max open files"]; a != b {
				t.Errorf("RLIMIT_NOFILE: init %s, executed %s", a, b)
			}
			c.Kill("KILL").OK(e)
			c.WaitStatus("stopped")
			e.Eventually("what was executed ends with the container", func() bool { return !harness.Alive(executed) })
			c.Delete().OK(e)
		}
		e.CheckNothingLeft()
	})
}

func TestExecFlags(t *testing.T) {
	e := newEnv(t)
	c := e.Container()
	c.RunDetached().OK(e)
	for _, test := range []struct {
		name  string
		flags []string
		sh    string
		want  string
	}{
		{"--env", []string{"-e", "A=one, two", "-e", "B="}, `printf '%s|%s|%s' "$A" "${B-unset}" "${C-unset}"`, "one, two||unset"},
		{"--env replaces", []string{"-e", "TERM=other"}, `echo $TERM`, "other"},
		{"--cwd", []string{"--cwd", "/work"}, "pwd", "/work"},
		{"--user", []string{"-u", "1000"}, "id -u; id -g", "1000\n0"},
		{"--user with group", []string{"--user", "1000:2000"}, "id -u; id -g", "1000\n2000"},
		{"--additional-gids", []string{"-u", "1:1", "-g", "5", "-g", "7"}, "id -G", "1 5 7"},
		{"--cap", []string{"--cap", "CAP_NET_RAW"}, "grep CapEff /proc/self/status | cut -f2",
			capSet("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW")},
		{"--no-new-privs", []string{"--no-new-privs"}, "grep NoNewPrivs /proc/self/status | cut -f2", "1"},
		{"arguments that look like flags", nil, "echo $0 $#; set -- -d --tty; echo $*", "sh 0\n-d --tty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := c.Exec(test.flags, "sh", "-c", test.sh)
			if r.Code != 0 || strings.TrimSuffix(r.Stdout, "\n") != test.want {
				t.Errorf("%s\nwant %q", r, test.want)
			}
		})
	}
	if out := c.Exec(nil, "echo", "-d", "--tty", "-e", "x").OK(e); out != "-d --tty -e x\n" {
		t.Errorf("the command's own flags: %q", out)
	}
	c.Exec([]string{"--cwd", "/no/such/dir"}, "true").Fails(e, "/no/such/dir")
	c.Exec([]string{"--user", "nobody"}, "true").Fails(e, "nobody")
	c.Exec([]string{"--cap", "CAP_NONSENSE"}, "true")
	c.Exec(nil).Fails(e, "")
}

func TestExecStandardStreams(t *testing.T) {
	e := newEnv(t)
	c := e.Container()
	c.RunDetached().OK(e)
	in, err := os.Open(e.WriteFile("input", "from outside", 0o600))
	e.Must(err)
	defer in.Close()
	r := e.Run(harness.Options{Stdin: in}, c.ExecArgs(nil, "sh", "-c", "cat; echo to stderr >&2")...)
	if r.OK(e) != "from outside" || r.Stderr != "to stderr\n" {
		t.Error(r)
	}
}

func TestExecProcess(t *testing.T) {
	e := newEnv(t)
	c := e.Container()
	c.RunDetached().OK(e)
	umask := uint32(0o077)
	p := specs.Process{
		Args: []string{"sh", "-c", `id -u; id -g; id -G; pwd; umask; echo $X; grep -E 'CapBnd|CapEff|NoNewPrivs' /proc/self/status | cut -f2; ulimit -n`},
		Cwd:  "/work", Env: []string{"PATH=/bin", "X=y"}, NoNewPrivileges: true,
		User: specs.User{UID: 7, GID: 8, AdditionalGids: []uint32{9}, Umask: &umask},
		Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}, Permitted: []string{"CAP_KILL"},
			Effective: []string{"CAP_KILL"}, Inheritable: []string{"CAP_KILL"}, Ambient: []string{"CAP_KILL"}},
		Rlimits: []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 99, Hard: 99}},
	}
	b, err := json.Marshal(p)
	e.Must(err)
	out := e.Bailey("exec", "--process", e.WriteFile("process.json", string(b), 0o600), c.ID).OK(e)
	want := strings.Join([]string{"7", "8", "8 9", "/work", "0077", "y", capSet("CAP_KILL"), capSet("CAP_KILL"), "1", "99"}, "\n")
	if strings.TrimSpace(out) != want {
		t.Errorf("output:\n%s\nwant:\n%s", out, want)
	}
	for name, broken := range map[string]string{
		"not JSON": "{", "no args": `{"cwd":"/"}`, "no cwd": `{"args":["true"]}`,
		"cwd relative": `{"args":["true"],"cwd":"work"}`, "type": `{"args":"true","cwd":"/"}`,
		"twice": `{"args":["true"],"cwd":"/","cwd":"/work"}`, "empty": "",
	} {
		r := e.Bailey("exec", "--process", e.WriteFile("broken.json", broken, 0o600), c.ID)
		if r.Code != 1 {
			t.Errorf("a process that is broken (%s): %s", name, r)
		}
	}
	e.Bailey("exec", "--process", e.Path("nosuch.json"), c.ID).Fails(e, "no such file or directory")
}

func TestExecTerminal(t *testing.T) {
	for name, change := range map[string]harness.Change{"no userns": harness.All(), "userns": harness.UserNamespace} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			c := e.Container(change)
			c.RunDetached().OK(e)
			socket := e.ConsoleSocket()
			c.Exec([]string{"--tty", "--detach", "--console-socket", socket.Path, "--pid-file", e.Path("exec.pid")},
				"sh", "-c", "tty; read x; echo got $x; sleep 100000").OK(e)
			pty := socket.Terminal()
			e.Eventually("the name of the terminal", func() bool { return strings.Contains(pty.Text(), "/dev/pts/0") })
			_, err := pty.Master.WriteString("something\n")
			e.Must(err)
			e.Eventually("an answer", func() bool { return strings.Contains(pty.Text(), "got something") })
			if s := harness.Stat(e.PIDFile(e.Path("exec.pid"))); s == nil || s.TTY == 0 {
				t.Errorf("no controlling terminal: %+v", s)
			}

			byHand := e.NewPTY()
			r := e.Run(harness.Options{TTY: byHand.Slave}, c.ExecArgs([]string{"-t"}, "sh", "-c", "tty; stty -a; exit 9")...)
			if r.Code != 9 {
				t.Error(r)
			}
			e.Eventually("the name of the terminal", func() bool { return strings.Contains(byHand.Text(), "/dev/pts/1") })
			c.Exec([]string{"--tty", "--detach"}, "true").Fails(e, "console-socket")
		})
	}
}

// exec in a container that waits for its start, in one whose payload nobody may look into, and in one that is
// paused.
func TestExecStatus(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		for _, change := range []harness.Change{harness.All(), harness.UserNamespace} {
			c := e.Container(change, harness.Args("/bin/secret", "pause"))
			program := readFile(t, harness.Probe(t))
			e.Must(os.WriteFile(c.Rootfs+"/bin/secret", []byte(program), 0o111)) // cannot be read: not dumpable
			c.Spec.Process.User.UID = 1000
			c.WriteSpec()
			c.Create().OK(e)
			if out := c.Sh("echo executed"); out != "executed" {
				t.Errorf("exec in a created container: %q", out)
			}
			c.Start().OK(e)
			if out := c.Sh("echo executed"); out != "executed" {
				t.Errorf("exec in a container that is not dumpable: %q", out)
			}
			e.Bailey("pause", c.ID).OK(e)
			c.Exec(nil, "true").Fails(e, "paused")
			exec := e.Start(harness.Options{}, c.ExecArgs([]string{"--ignore-paused"}, "true")...)
			e.Bailey("resume", c.ID).OK(e)
			exec.Wait().OK(e)
		}
	})
}

// A sub-cgroup that the container has made can be named.
func TestExecCgroup(t *testing.T) {
	e := newEnv(t)
	c := e.Container()
	c.RunDetached().OK(e)
	if e.View == harness.V2 {
		e.Must(os.Mkdir(c.CgroupDir("")+"/sub", 0o755))
		c.Exec([]string{"--detach", "--pid-file", e.Path("exec.pid"), "--cgroup", "sub"}, "sleep", "100000").OK(e)
		if got := e.ProcFile(e.PIDFile(e.Path("exec.pid")), "cgroup"); strings.TrimSpace(got) != "0::"+c.Cgroup+"/sub" {
			t.Errorf("cgroups: %s", got)
		}
		return
	}
	for _, controller := range []string{"memory", "pids", ""} {
		if controller == "" && e.View == harness.V1 {
			continue
		}
		e.Must(os.Mkdir(c.CgroupDir(controller)+"/sub", 0o755))
	}
	c.Exec([]string{"--detach", "--pid-file", e.Path("exec.pid"), "--cgroup", "memory:sub", "--cgroup", "pids:sub"},
		"sleep", "100000").OK(e)
	lines := "\n" + e.ProcFile(e.PIDFile(e.Path("exec.pid")), "cgroup") + "\n"
	for _, want := range []string{":memory:" + c.Cgroup + "/sub\n", ":pids:" + c.Cgroup + "/sub\n", ":freezer:" + c.Cgroup + "\n"} {
		if !strings.Contains(lines, want) {
			t.Errorf("cgroups: %s\nwant %q", lines, want)
		}
	}
	for _, broken := range []string{"..", "memory:../..", "memory:nosuch", "nosuch:sub", "/"} {
		if r := c.Exec([]string{"--cgroup", broken}, "true"); r.Code == 0 && broken != "/" {
			t.Errorf("--cgroup %s: %s", broken, r)
		}
	}
}
