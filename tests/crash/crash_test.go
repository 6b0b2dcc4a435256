package crash

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// faultVariable says where a test build ends itself: "preamble N", "bailey N" (right before the preamble's
// operation N) or "go N" (right before the Nth change of the command line's).
const faultVariable = "BAILEY_FAULT"

var who = []string{"preamble", "bailey", "go"}

// enough is more points than any command has.
const enough = 1000

// victim is a container that is killed again and again.
type victim struct {
	*testing.T
	e *harness.Env
	c *harness.Container
	// flags are more flags of create and run.
	flags []string
	// more is what else is looked at when the container was deleted.
	more func()
}

func newVictim(t *testing.T, v harness.View, changes ...harness.Change) *victim {
	t.Parallel()
	return newVictimIn(harness.New(t, v), t, changes...)
}

func newVictimIn(e *harness.Env, t *testing.T, changes ...harness.Change) *victim {
	if os.Getenv(harness.BinaryVariable) == "" {
		e.Runtime = harness.FaultyBinary(t)
	}
	return &victim{T: t, e: e, c: e.Container(append([]harness.Change{everything}, changes...)...)}
}

// everything asks for operations of most kinds.
func everything(s *specs.Spec) {
	s.Hostname = "victim"
	s.Process.NoNewPrivileges = true
	s.Linux.Sysctl = map[string]string{"net.ipv4.ip_unprivileged_port_start": "80"}
	s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"acct"}, Action: specs.ActErrno}}}
	harness.Mounted("/run", "tmpfs", "tmpfs", "nosuid")(s)
	hook := []specs.Hook{{Path: "/bin/true"}}
	s.Hooks = &specs.Hooks{CreateRuntime: hook, CreateContainer: hook, StartContainer: hook, Poststart: hook, Poststop: hook}
}

// bailey runs a command that is killed at a point.
func (v *victim) bailey(fault string, args ...string) *harness.Result {
	v.Helper()
	return v.e.Run(harness.Options{Env: []string{faultVariable + "=" + fault}}, args...)
}

// create, start and run are those commands with everything that they need.
func (v *victim) create(fault string) *harness.Result {
	v.Helper()
	return v.bailey(fault, append(append([]string{"create", "--bundle", v.c.Bundle, "--pid-file", v.e.Path("pid")}, v.flags...), v.c.ID)...)
}

func (v *victim) start(fault string) *harness.Result {
	v.Helper()
	return v.bailey(fault, "start", v.c.ID)
}

// remove deletes by force and wants nothing to be left.
func (v *victim) remove(at string) {
	v.Helper()
	if r := v.e.Bailey("delete", "--force", v.c.ID); r.Code != 0 {
		v.Errorf("after a kill at %s: %s", at, r)
	}
	before := v.Failed()
	v.e.CheckNothingLeft()
	if v.more != nil {
		v.more()
	}
	if !before && v.Failed() {
		v.Fatalf("it was killed at %s", at)
	}
}

// runs reports whether the container's payload is there.
func (v *victim) runs() bool {
	v.Helper()
	s := v.c.TryState()
	return s != nil && s.Status == "running" && harness.Alive(s.PID)
}

// waits reports whether the container is there and waits for its start.
func (v *victim) waits() bool {
	v.Helper()
	s := v.c.TryState()
	return s != nil && s.Status == "created" && harness.Alive(s.PID)
}

// killed reports whether the command line itself was.
func killed(r *harness.Result) bool { return r.Code == -int(syscall.SIGKILL) }

// each kills at point 0, 1, 2 … of what f does until f reports that the point was never reached.
func (v *victim) each(who string, f func(fault string) (reached bool)) int {
	v.Helper()
	for n := range enough {
		fault := fmt.Sprintf("%s %d", who, n)
		reached := f(fault)
		v.remove(fault)
		if !reached {
			return n
		}
	}
	v.Fatalf("%s: no end after %d points", who, enough)
	return 0
}

// variants are what has operations of its own.
func variants() map[string]harness.Change {
	return map[string]harness.Change{"no userns": harness.All(), "userns": harness.UserNamespace}
}

// eachVariant runs a test in the views v1 and v2 with and without a user namespace.
func eachVariant(t *testing.T, f func(v *victim)) {
	harness.NeedRoot(t)
	for _, view := range harness.Views() {
		if view == harness.Hybrid {
			continue // nothing that v1 and v2 have not
		}
		for name, change := range variants() {
			t.Run(string(view)+" "+name, func(t *testing.T) { f(newVictim(t, view, change)) })
		}
	}
}

// The creation of a container and its start.
func TestCreateAndStart(t *testing.T) {
	eachVariant(t, func(v *victim) {
		for _, who := range who {
			var inCreate, inStart, last int
			n := v.each(who, func(fault string) bool {
				last++
				if r := v.create(fault); r.Code != 0 {
					inCreate++
					// Only after its last change a killed create has made a container.
					if (v.waits() || v.runs()) && who != "go" {
						v.Errorf("killed at %s, and yet it is there: %s", fault, r)
					}
					return true
				}
				if r := v.start(fault); r.Code == 0 && v.runs() {
					// The wait for start is the one operation with nobody to be ended at it.
					return who == "bailey" && inStart == 0 && last <= inCreate+1
				}
				inStart++ // perhaps right before exec, where start has succeeded
				return true
			})
			v.Logf("%s: killed at %d points of create and %d of start, %d clean", who, inCreate, inStart, n)
			if inCreate == 0 || who != "go" && inStart == 0 {
				v.Errorf("%s was never killed: the build has no faults", who)
			}
		}
	})
}

// The command line in start: its own changes, of which create has more.
func TestStart(t *testing.T) {
	eachVariant(t, func(v *victim) {
		n := v.each("go", func(fault string) bool {
			v.create("").OK(v.e)
			r := v.start(fault)
			if !killed(r) {
				r.OK(v.e)
			}
			return killed(r)
		})
		v.Logf("go: start killed at %d points, %d clean", n, n)
		if n == 0 {
			v.Error("start was never killed: the build has no faults")
		}
	})
}

// run, which is create and start in one.
func TestRun(t *testing.T) { eachVariant(t, killedInRun) }

// A sealed container, with the processes that help to seal it and to prove it.
func TestSealedRun(t *testing.T) {
	harness.NeedRoot(t)
	for name, change := range variants() {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t, harness.ShortViews()[0], change)
			v.flags = []string{"--seal", "always"}
			killedInRun(v)
		})
	}
}

func killedInRun(v *victim) {
	v.c.Spec.Process.Args = []string{"sh", "-c", "exit 42"}
	v.c.WriteSpec()
	for _, who := range who {
		n := v.each(who, func(fault string) bool {
			r := v.bailey(fault, append(append([]string{"run", "--bundle", v.c.Bundle}, v.flags...), v.c.ID)...)
			return r.Code != 42
		})
		v.Logf("%s: run killed at %d points, %d clean", who, n, n)
		if n == 0 {
			v.Errorf("%s was never killed: the build has no faults", who)
		}
	}
}

// delete of a container that runs, one that waits and one that has stopped.
func TestDelete(t *testing.T) {
	eachVariant(t, func(v *victim) {
		total := 0
		for _, status := range []string{"created", "running", "stopped"} {
			n := v.each("go", func(fault string) bool {
				v.create("").OK(v.e)
				if status != "created" {
					v.start("").OK(v.e)
				}
				flags := []string{"delete", v.c.ID}
				switch status {
				case "running":
					flags = []string{"delete", "--force", v.c.ID}
				case "stopped":
					v.c.Kill("KILL").OK(v.e)
					v.c.WaitStatus("stopped")
				}
				r := v.bailey(fault, flags...)
				if !killed(r) {
					r.OK(v.e)
				}
				return killed(r)
			})
			if n == 0 {
				v.Errorf("delete of a %s container was never killed", status)
			}
			total += n
		}
		v.Logf("delete killed at %d points, %d clean", total, total)
	})
}

// exec: the container goes on as if nothing had been, and nothing of the executed process is left in it.
func TestExec(t *testing.T) {
	eachVariant(t, func(v *victim) {
		v.create("").OK(v.e)
		v.start("").OK(v.e)
		pid := v.c.PID()
		for _, who := range who[:2] {
			n := 0
			for ; n < enough; n++ {
				fault := fmt.Sprintf("%s %d", who, n)
				r := v.bailey(fault, "exec", v.c.ID, "sh", "-c", "exit 42")
				if r.Code == 42 {
					break
				}
				if v.c.PID() != pid || !v.runs() {
					v.Fatalf("exec killed at %s has ended the container", fault)
				}
				v.e.Eventually("only the init is left", func() bool { return len(v.e.Processes()) == 1 })
			}
			v.Logf("%s: exec killed at %d points, %d clean", who, n, n)
			if n == 0 {
				v.Errorf("%s was never killed in exec", who)
			}
		}
		v.remove("the end")
	})
}
