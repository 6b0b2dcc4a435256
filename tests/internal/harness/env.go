package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// Env is one test's part of the machine.
type Env struct {
	T testing.TB
	// View is V1, V2 or Hybrid.
	View View
	// Systemd: the runtime uses the systemd driver.
	Systemd bool
	// ID is unique on the machine: the beginning of the names of containers and cgroups, and the value of
	// the variable BAILEY_TEST in the environment of everything that the Env starts.
	ID string
	// Dir is a directory for the test's files; Root the runtime's state directory in it.
	Dir, Root string
	// Log is the runtime's log, in JSON.
	Log string
	// Runtime is the path of the runtime.
	Runtime string

	ns     *namespace
	mounts map[string]int // before anything was done

	// account is locked as long as the Env has its IDs; see Account.
	account       *os.File
	accountNumber uint32

	mu         sync.Mutex
	sessions   map[int]bool // of the commands started
	containers []*Container
	namespaces map[string]*os.File // that containers were seen in
	commands   []*Command
}

var envs atomic.Int64

// idVariable is the name of the variable that marks the Env's processes.
const idVariable = "BAILEY_TEST"

// New returns an Env. When the test ends, its containers are deleted by force, and the test fails if
// anything is left of them.
func New(t testing.TB, v View) *Env {
	t.Helper()
	NeedRoot(t)
	n := envs.Add(1)
	e := &Env{
		T: t, View: v, ID: fmt.Sprintf("bt%d-%d", os.Getpid(), n), Runtime: Binary(t),
		Systemd: v == Systemd, sessions: make(map[int]bool), namespaces: make(map[string]*os.File),
	}
	if e.Systemd {
		e.View = V2
	}
	e.Dir = filepath.Join(base, fmt.Sprint(n))
	e.Root = filepath.Join(e.Dir, "root")
	e.Log = filepath.Join(e.Dir, "log.json")
	e.Must(os.Mkdir(e.Dir, 0o755))
	e.Must(os.Mkdir(e.Root, 0o700))
	var err error
	e.ns, err = newNamespace(e.View)
	e.Must(err)
	e.mounts, err = e.ns.mounts()
	e.Must(err)
	t.Cleanup(e.close)
	return e
}

// Must fails the test at once on an error.
func (e *Env) Must(err error) {
	e.T.Helper()
	if err != nil {
		e.T.Fatal(err)
	}
}

// Do runs f in the Env's mount namespace. f must not start goroutines that count on it.
func (e *Env) Do(f func()) { e.ns.do(f) }

// Mounted rebases the check for mounts that are left, after the test has mounted something itself.
func (e *Env) Mounted() {
	e.T.Helper()
	var err error
	e.mounts, err = e.ns.mounts()
	e.Must(err)
}

// Path returns the path of a file of the test's.
func (e *Env) Path(name string) string { return filepath.Join(e.Dir, name) }

// WriteFile writes a file of the test's and returns its path.
func (e *Env) WriteFile(name, content string, mode os.FileMode) string {
	e.T.Helper()
	path := e.Path(name)
	e.Must(os.WriteFile(path, []byte(content), mode))
	e.Must(os.Chmod(path, mode))
	return path
}

func (e *Env) close() {
	for _, c := range e.containers {
		// Whether it is gone already is the test's affair.
		e.Bailey("delete", "--force", c.ID)
	}
	e.endCommands()
	e.CheckNothingLeft()
	e.sweep()
	e.ns.close()
	if e.account != nil {
		e.account.Close()
	}
	for _, f := range e.namespaces {
		f.Close()
	}
	os.RemoveAll(e.Dir)
}

// endCommands ends commands that the test has left running.
func (e *Env) endCommands() {
	for _, c := range e.commands {
		select {
		case <-c.done:
		default:
			e.T.Errorf("still running at the end of the test: %v", c.cmd.Args)
			unix.Kill(c.cmd.Process.Pid, unix.SIGKILL)
			<-c.done
		}
	}
}
