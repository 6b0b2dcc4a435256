package lifecycle

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// manager is a service manager that bailey is started by.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	o    harness.Options
}

func newManager(t *testing.T, e *harness.Env) *manager {
	t.Helper()
	path := e.Path("manager")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	e.Must(err)
	t.Cleanup(func() { conn.Close() })
	return &manager{t, conn, harness.Options{Env: []string{"NOTIFY_SOCKET=" + path}}}
}

// told returns the next message, "" if none comes.
func (m *manager) told(wait time.Duration) string {
	m.t.Helper()
	buf := make([]byte, 4096)
	if err := m.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		m.t.Fatal(err)
	}
	n, err := m.conn.Read(buf)
	if err != nil {
		return ""
	}
	return string(buf[:n])
}

// What the payload says to its service manager is passed on, with the main process as the manager knows it, and without
// what is not the payload's to say; start and run --detach wait until it is ready.
func TestNotifySocket(t *testing.T) {
	const script = `probe notify "$(printf 'STATUS=warming up\nMAINPID=1\nFDSTORE=1')"; while [ ! -e /work/go ]; do sleep 0.01; done
		probe notify READY=1; probe notify STOPPING=1; sleep 100000`
	for name, change := range map[string]harness.Change{
		"as root": harness.All(), "as a user in a user namespace": harness.All(harness.UserNamespace, func(s *specs.Spec) { s.Process.User.UID = 1000 }),
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			m := newManager(t, e)
			for _, how := range []string{"run", "run --detach", "start"} {
				c := e.Container(change, harness.Sh(script))
				var cmd *harness.Command
				switch how {
				case "run":
					cmd = e.Start(m.o, c.RunArgs()...)
				case "run --detach":
					cmd = e.Start(m.o, c.RunArgs("--detach")...)
				default:
					e.Run(m.o, "create", "--bundle", c.Bundle, c.ID).OK(e)
					cmd = e.Start(m.o, "start", c.ID)
				}
				if got := m.told(harness.Timeout); got != "STATUS=warming up\n" {
					t.Errorf("%s: %q", how, got)
				}
				if !cmd.Running() {
					t.Errorf("%s: it has not waited: %s", how, cmd.Wait())
				}
				pid := c.PID()
				e.Must(os.WriteFile(c.Rootfs+"/work/go", nil, 0o644))
				if got, want := m.told(harness.Timeout), fmt.Sprintf("READY=1\nMAINPID=%d\n", pid); got != want {
					t.Errorf("%s: %q, want %q", how, got, want)
				}
				if how == "run" {
					if got := m.told(harness.Timeout); got != "STOPPING=1\n" {
						t.Errorf("%s: %q", how, got)
					}
					c.Kill("KILL").OK(e)
				}
				if r := cmd.Wait(); r.Code != 0 && r.Code != 137 {
					t.Errorf("%s: %s", how, r)
				}
				c.Delete("--force").OK(e)
			}
		})
	}
}

// A payload that ends without ever being ready does not keep start waiting; without a manager there is no socket.
func TestNotifySocketOfNobody(t *testing.T) {
	e := newEnv(t)
	m := newManager(t, e)
	c := e.Container(harness.Args("true"))
	e.Run(m.o, "create", "--bundle", c.Bundle, c.ID).OK(e)
	e.Run(m.o, "start", c.ID).OK(e)
	if got := m.told(100 * time.Millisecond); got != "" {
		t.Errorf("%q", got)
	}
	c.Delete("--force").OK(e)
	d := e.Container(harness.Sh("echo $NOTIFY_SOCKET; ls /run"))
	if got := d.Run().OK(e); got != "\n" {
		t.Errorf("%q", got)
	}
}

// A process is confined to the initial CPUs before it is in the container's cgroup, and to the final ones afterwards.
func TestExecCPUAffinity(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("takes two CPUs")
	}
	eachView(t, func(t *testing.T, e *harness.Env) {
		c := e.Container()
		c.RunDetached().OK(e)
		for _, tc := range []struct{ initial, final, want string }{{"1", "", "1"}, {"1", "0", "0"}, {"", "0-1", "0-1"}, {"0", "1", "1"}} {
			process := fmt.Sprintf(`{"cwd":"/","env":["PATH=/bin"],"args":["sh","-c","grep Cpus_allowed_list /proc/self/status"],
				"user":{"uid":0,"gid":0},"execCPUAffinity":{"initial":%q,"final":%q}}`, tc.initial, tc.final)
			got := c.Env.Bailey("exec", "--process", e.WriteFile("process.json", process, 0o600), c.ID).OK(e)
			if f := strings.Fields(got); len(f) != 2 || f[1] != tc.want {
				t.Errorf("initial %q, final %q: %q", tc.initial, tc.final, got)
			}
		}
	})
}
