package hostile

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

func TestMain(m *testing.M) {
	// They spend most of their time waiting: for the kernel to remove namespaces, and for hooks that hang.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	harness.Main(m)
}

// place is an Env with a directory that no container may touch.
type place struct {
	*harness.Env
	// outside has one file, "keep".
	outside string
}

const kept = "not the container's\n"

func newPlace(t *testing.T) *place { return newPlaceIn(t, harness.ShortViews()[0]) }

func newPlaceIn(t *testing.T, v harness.View) *place {
	t.Helper()
	harness.NeedRoot(t)
	t.Parallel()
	e := harness.New(t, v)
	p := &place{Env: e, outside: e.Path("outside")}
	e.Must(os.Mkdir(p.outside, 0o755))
	e.WriteFile("outside/keep", kept, 0o644)
	return p
}

// refused fails the test unless the runtime has refused with exit status 1 and one line that has all the
// texts, on standard error and in the log, and has left nothing.
func (p *place) refused(r *harness.Result, texts ...string) {
	p.T.Helper()
	if r.Code == 1 {
		p.nothingLeft()
	}
	p.failed(r, texts...)
}

// failed is refused for a command whose container stays.
func (p *place) failed(r *harness.Result, texts ...string) {
	p.T.Helper()
	if r.Code != 1 || r.Stdout != "" {
		p.T.Errorf("%s\nwant exit status 1 and no output", r)
		return
	}
	line, rest, ended := strings.Cut(r.Stderr, "\n")
	if !ended || !strings.HasPrefix(line, "bailey: ") {
		p.T.Errorf("%s\nwant the error on the first line", r)
	}
	for _, more := range strings.Split(strings.TrimSuffix(rest, "\n"), "\n") {
		if more != "" && !strings.HasPrefix(more, "  cause: ") && !strings.HasPrefix(more, "  try:   ") {
			p.T.Errorf("%s\nwant nothing after the error but its cause and remedy", r)
			break
		}
	}
	// A hostile name must not be able to drive the terminal of who reads the error.
	if i := strings.IndexFunc(r.Stderr, func(c rune) bool { return c < ' ' && c != '\n' || c == 0x7f }); i >= 0 {
		p.T.Errorf("%s\na control character at offset %d: %q", r, i, r.Stderr)
	}
	for _, text := range texts {
		if !strings.Contains(line, text) {
			p.T.Errorf("%s\nwant %q in the first line", r, text)
		}
	}
	if !slices.Contains(r.Args, p.Log) {
		return
	}
	level, message := p.lastLogged()
	if level != "error" || !strings.HasPrefix(message, strings.TrimPrefix(line, "bailey: ")) {
		p.T.Errorf("%s\nthe log's last entry has the level %q and says %q", r, level, message)
	}
}

// lastLogged returns the last entry of the log.
func (p *place) lastLogged() (level, message string) {
	p.T.Helper()
	b, err := os.ReadFile(p.Log)
	if err != nil {
		return "", err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	var entry struct{ Level, Msg string }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &entry); err != nil {
		p.T.Errorf("log entry %q: %v", lines[len(lines)-1], err)
	}
	return entry.Level, entry.Msg
}

func (p *place) nothingLeft() {
	p.T.Helper()
	p.CheckNothingLeft()
	p.untouched()
}

// untouched fails the test if something has happened to the directory outside.
func (p *place) untouched() {
	p.T.Helper()
	entries, err := os.ReadDir(p.outside)
	if err != nil || len(entries) != 1 {
		p.T.Errorf("outside of the container: %v, %v", entries, err)
	}
	b, err := os.ReadFile(filepath.Join(p.outside, "keep"))
	if err != nil || string(b) != kept {
		p.T.Errorf("a file outside of the container: %q, %v", b, err)
	}
}

// unchanged returns a function that fails the test if the names, types and modes of what is below dir are not any
// more what they are now.
func (p *place) unchanged(dir string) func() {
	p.T.Helper()
	before := p.tree(dir)
	return func() {
		p.T.Helper()
		if after := p.tree(dir); !slices.Equal(before, after) {
			p.T.Errorf("%s was changed:\n  before %q\n  after  %q", dir, before, after)
		}
	}
}

func (p *place) tree(dir string) []string {
	p.T.Helper()
	var list []string
	p.Must(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			list = append(list, strings.Join([]string{path, info.Mode().String()}, " "))
		}
		return err
	}))
	return list
}

func (p *place) fifo(name string) string {
	p.T.Helper()
	p.Must(unix.Mkfifo(p.Path(name), 0o600))
	return p.Path(name)
}

// bystander starts a process that is none of the runtime's business, and fails the test if it has not lived to
// its end. It is marked as the Env's, so nothing may be checked to be left before it is ended.
func (p *place) bystander() (cmd *harness.Command, end func()) {
	p.T.Helper()
	cmd = p.Start(harness.Options{Runtime: "/bin/busybox", NoGlobals: true}, "sleep", "1000")
	ended := false
	end = func() {
		p.T.Helper()
		if ended {
			return
		}
		ended = true
		if !cmd.Running() || !harness.Alive(cmd.PID()) {
			p.T.Error("a process that is not the container's was killed")
		}
		cmd.Signal(unix.SIGKILL)
		cmd.Wait()
	}
	p.T.Cleanup(end)
	return cmd, end
}
