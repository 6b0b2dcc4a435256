package try

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// userID is an ordinary user's, subIDs the first of the subordinate ones.
const userID, subIDs, subCount = 54321, 70000, 65536

// caller is who calls bailey try, and from where.
type caller struct {
	e    *harness.Env
	o    harness.Options
	home string
	uid  int
}

// users are the kinds of callers.
var users = []string{"root", "subordinate IDs", "own ID only"}

// each runs a test as each kind of caller.
func each(t *testing.T, f func(*testing.T, *caller)) {
	for _, kind := range users {
		t.Run(kind, func(t *testing.T) { f(t, newCaller(t, kind)) })
	}
}

// newCaller returns a caller with a home directory that has a project in it, the working directory. The machine's ledger of IDs, and the
// files that say who there is, are replaced in the Env's mount namespace.
func newCaller(t *testing.T, kind string) *caller {
	t.Helper()
	harness.NeedRoot(t)
	t.Parallel()
	e := harness.New(t, harness.ShortViews()[0])
	u := &caller{e: e, home: e.Path("home")}
	if kind != "root" {
		u.uid = userID
		u.o.Credential = &syscall.Credential{Uid: userID, Gid: userID}
	}
	files := map[string]string{"passwd": fmt.Sprintf("bailey-test:x:%d:%d::%s:/bin/sh\n", userID, userID, u.home), "group": fmt.Sprintf("bailey-test:x:%d:\n", userID)}
	if kind == "subordinate IDs" {
		files["subuid"] = fmt.Sprintf("bailey-test:%d:%d\n", subIDs, subCount)
		files["subgid"] = files["subuid"]
	}
	for name, line := range files {
		have, _ := os.ReadFile("/etc/" + name)
		file := e.WriteFile(name, string(have)+line, 0o644)
		e.Do(func() {
			if err := unix.Mount(file, "/etc/"+name, "", unix.MS_BIND, ""); err != nil {
				t.Errorf("/etc/%s: %v", name, err)
			}
		})
	}
	e.Do(func() {
		if err := unix.Mount("tmpfs", "/var/lib", "tmpfs", 0, "mode=755"); err != nil {
			t.Error(err)
		}
	})
	e.Mounted()
	e.WriteFile("log.json", "", 0o666)
	for _, dir := range []string{"home", "home/project", "home/other"} {
		e.Must(os.Mkdir(e.Path(dir), 0o755))
	}
	e.WriteFile("home/secret", "secret\n", 0o600)
	e.WriteFile("home/project/code", "code\n", 0o644)
	for _, name := range []string{"home", "home/project", "home/other", "home/secret", "home/project/code"} {
		e.Must(os.Chown(e.Path(name), u.uid, u.uid))
	}
	e.Must(os.Chown(e.Root, u.uid, u.uid))
	u.o.Dir = u.home + "/project"
	u.o.Env = []string{"HOME=" + u.home, "XDG_RUNTIME_DIR=" + e.Root, "SSH_AUTH_SOCK=/tmp/agent", "TERM=dumb", "LANG=C"}
	return u
}

// args are those of bailey try; the mark by which the harness knows its processes is passed on.
func args(a ...string) []string { return append([]string{"try", "--env", "BAILEY_TEST"}, a...) }

func (u *caller) try(a ...string) *harness.Result {
	u.e.T.Helper()
	return u.e.Run(u.o, args(a...)...)
}

// says runs a shell script in the sandbox and compares its output.
func (u *caller) says(want string, a ...string) {
	u.e.T.Helper()
	if r := u.try(a...); r.Stdout != want || r.Code != 0 {
		u.e.T.Errorf("%s\nwant %q", r, want)
	}
}

// lines are the lines of a text that begin with a word.
func lines(text, word string) (found []string) {
	for _, l := range strings.Split(text, "\n") {
		if strings.HasPrefix(l, word) {
			found = append(found, l)
		}
	}
	return found
}
