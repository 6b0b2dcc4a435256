package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/libruntime/idmap/ledger"
)

// ids is a machine of the test's own for ids to work on, with an account "bailey" and a process.
type ids struct {
	*testing.T
	dir string
}

func newIDs(t *testing.T, lines string) *ids {
	t.Helper()
	i := &ids{t, t.TempDir()}
	for _, d := range []string{"proc/1", "run"} {
		i.must(os.MkdirAll(i.path(d), 0o700))
	}
	i.must(os.Symlink("1", i.path("proc/self")))
	for name, text := range map[string]string{
		"subuid": lines, "subgid": lines, "passwd": "bailey:x:990:990::/:\n", "group": "", "boot": "11111111-1111-1111-1111-111111111111\n",
		"proc/1/uid_map": "0 0 4294967295\n", "proc/1/gid_map": "0 0 4294967295\n",
	} {
		i.must(os.WriteFile(i.path(name), []byte(text), 0o600))
	}
	before := idsOptions
	t.Cleanup(func() { idsOptions = before })
	idsOptions = ledger.Options{Account: "bailey", Dir: i.path("ids"), Paths: ledger.Paths{
		SubUID: i.path("subuid"), SubGID: i.path("subgid"), Passwd: i.path("passwd"), Group: i.path("group"),
		Proc: i.path("proc"), BootID: i.path("boot"),
	}}
	return i
}

func (i *ids) path(name string) string { return filepath.Join(i.dir, name) }

func (i *ids) must(err error) {
	i.Helper()
	if err != nil {
		i.Fatal(err)
	}
}

// ledger returns the ledger that ids opens.
func (i *ids) ledger() *ledger.Ledger {
	i.Helper()
	l, err := ledger.Open(idsOptions)
	i.must(err)
	i.Cleanup(l.Close)
	return l
}

// hold makes a container that holds IDs.
func (i *ids) hold(id string) {
	i.Helper()
	i.must(os.Mkdir(i.path("run/"+id), 0o700))
	_, err := i.ledger().Allocate(ledger.Request{ID: id, StateRoot: i.path("run")})
	i.must(err)
}

// run runs ids with the containers' state directory, and wants its exit status.
func (i *ids) run(status int, args ...string) (stdout, stderr string) {
	i.Helper()
	got, stdout, stderr := bailey(i.T, append([]string{"--root", i.path("run"), "ids"}, args...)...)
	if got != status {
		i.Fatalf("%v: %d, %q, %q", args, got, stdout, stderr)
	}
	return stdout, stderr
}

func TestIDsList(t *testing.T) {
	i := newIDs(t, "bailey:1900000000:655360\n")
	if out, _ := i.run(0, "list", "--format", "json"); out != "[]\n" {
		t.Errorf("%q", out)
	}
	i.hold("web")
	i.hold("db")
	i.must(i.ledger().Release("db", i.path("run")))
	out, _ := i.run(0, "list")
	for _, want := range []string{"UIDS ", "1900000000-1900065535   1900000000-1900065535   65536   held      web   " + i.path("run"), "   resting   db "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	out, _ = i.run(0, "list", "--format", "json")
	var list []struct {
		State, ID, Root, Since, Until string
		UID, GID, Size                uint32
	}
	i.must(json.Unmarshal([]byte(out), &list))
	if len(list) != 2 || list[0].State != "held" || list[0].UID != 1900000000 || list[0].Until != "" || list[1].State != "resting" || list[1].Until == "" || list[1].Size != 65536 {
		t.Errorf("%+v", list)
	}
}

func TestIDsPicture(t *testing.T) {
	i := newIDs(t, "bailey:1900000000:65536\n")
	i.hold("web")
	if out, _ := i.run(0, "picture"); !strings.Contains(out, "1900000000 "+strings.Repeat("█", 64)+" web\n") || strings.Contains(out, "\x1b") {
		t.Error(out)
	}
	if out, _ := i.run(0, "picture", "--svg", i.path("ids.svg")); out != "" {
		t.Error(out)
	}
	if text, err := os.ReadFile(i.path("ids.svg")); err != nil || !strings.HasPrefix(string(text), "<svg ") || !strings.Contains(string(text), ">web<") {
		t.Errorf("%v: %s", err, text)
	}
	if _, errs := i.run(1, "picture", "--svg", "/does/not/exist"); !strings.Contains(errs, "--svg") {
		t.Error(errs)
	}
}

func TestIDsCheck(t *testing.T) {
	i := newIDs(t, "bailey:1900000000:655360\n")
	if out, _ := i.run(0, "check"); out != "no problems\n" {
		t.Error(out)
	}
	if out, _ := i.run(0, "check", "--format", "json"); out != "[]\n" {
		t.Error(out)
	}
	i.hold("web")
	i.must(os.Remove(i.path("run/web")))
	out, errs := i.run(1, "check")
	if !strings.HasPrefix(out, "stale: web ("+i.path("run")+"): it has no state directory") || !strings.HasSuffix(out, "  try: bailey ids check --repair\n") || errs != "" {
		t.Error(out, errs)
	}
	out, _ = i.run(1, "check", "--format", "json")
	var list []ledger.Problem
	i.must(json.Unmarshal([]byte(out), &list))
	if len(list) != 1 || list[0].Kind != "stale" || list[0].Repaired {
		t.Errorf("%+v", list)
	}
	if out, _ := i.run(0, "check", "--repair"); !strings.HasSuffix(out, "\n  repaired\n") {
		t.Error(out)
	}
	if out, _ := i.run(0, "check"); out != "no problems\n" {
		t.Error(out)
	}
}

func TestIDsRelease(t *testing.T) {
	i := newIDs(t, "bailey:1900000000:655360\n")
	i.hold("web")
	if _, errs := i.run(1, "release", "web"); !strings.Contains(errs, "still there") || !strings.Contains(errs, "delete --force web") {
		t.Error(errs)
	}
	i.must(os.Remove(i.path("run/web")))
	i.run(0, "release", "web")
	if _, errs := i.run(1, "release", "web"); !strings.Contains(errs, "holds none") {
		t.Error(errs)
	}
	if out, _ := i.run(0, "list"); !strings.Contains(out, "resting") {
		t.Error(out)
	}
}

func TestIDsSetup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	i := newIDs(t, "")
	if out, _ := i.run(0, "setup", "--size", "65536"); !strings.Contains(out, "account bailey has got the IDs 1879048192-1879113727 (1 containers of 65536)") {
		t.Error(out)
	}
	if out, _ := i.run(0, "setup"); !strings.Contains(out, "nothing to do") {
		t.Error(out)
	}
	if text, _ := os.ReadFile(i.path("subgid")); string(text) != "bailey:1879048192:65536\n" {
		t.Errorf("%q", text)
	}
	if _, errs := i.run(1, "setup", "--account", "nobody-here"); !strings.Contains(errs, "there is none") {
		t.Error(errs)
	}
}

func TestIDsUsage(t *testing.T) {
	i := newIDs(t, "")
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "an argument is missing"},
		{[]string{"frob"}, "is nothing that ids does"},
		{[]string{"list", "web"}, `one argument too many: "web"`},
		{[]string{"release"}, "an argument is missing"},
		{[]string{"list", "--repair"}, "no such flag (--repair)"},
		{[]string{"check", "--svg", "x"}, "no such flag (--svg)"},
		{[]string{"list", "-f", "xml"}, "--format"},
		{[]string{"setup", "--size", "0"}, "--size"},
		{[]string{"setup", "--size", "4294967296"}, "--size"},
	} {
		if out, errs := i.run(1, tc.args...); out != "" || !strings.Contains(errs, tc.want) {
			t.Errorf("%v: %q, %q", tc.args, out, errs)
		}
	}
}
