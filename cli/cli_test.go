package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
)

// bailey runs a command line with a state directory of its own.
func bailey(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	args = append([]string{"bailey", "--root", t.TempDir() + "/root"}, args...)
	status = run(args, "1.2.3", &out, &errs)
	return status, out.String(), errs.String()
}

func TestErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"unknown command":      {[]string{"frobnicate"}, "unknown command \"frobnicate\""},
		"unknown global flag":  {[]string{"--nope", "list"}, "-nope"},
		"unknown flag":         {[]string{"list", "--nope"}, "list: "},
		"no ID":                {[]string{"state"}, "an argument is missing"},
		"too many":             {[]string{"state", "a", "b"}, `one argument too many: "b"`},
		"missing container":    {[]string{"state", "web"}, "state web: find container web: container does not exist"},
		"kill missing":         {[]string{"kill", "web", "9"}, "container does not exist"},
		"bad ID":               {[]string{"state", "../x"}, "invalid container ID format"},
		"bad signal":           {[]string{"kill", "web", "NOPE"}, "unknown signal"},
		"bad rootless":         {[]string{"--rootless", "maybe", "list"}, "--rootless"},
		"bad manager":          {[]string{"--cgroup-manager", "x", "list"}, "--cgroup-manager"},
		"bad log format":       {[]string{"--log-format", "xml", "list"}, "--log-format"},
		"bad log level":        {[]string{"--log-level", "loud", "list"}, "--log-level"},
		"bad list format":      {[]string{"list", "--format", "xml"}, "--format"},
		"bad preserve-fds":     {[]string{"create", "--preserve-fds", "-1", "web"}, "preserve-fds"},
		"no bundle":            {[]string{"create", "--bundle", "/does/not/exist", "web"}, "no such file or directory"},
		"exec without command": {[]string{"exec", "web"}, "an argument is missing"},
		"exec with both":       {[]string{"exec", "--process", "f", "web", "sh"}, `one argument too many: "sh"`},
		"update bad size":      {[]string{"update", "--memory", "1q", "web"}, "--memory"},
		"update bad number":    {[]string{"update", "--cpu-quota", "1.5", "web"}, "--cpu-quota"},
		"update no file":       {[]string{"update", "-r", "/does/not/exist", "web"}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, errs := bailey(t, tc.args...)
			if status != 1 || out != "" || !strings.HasPrefix(errs, "bailey: ") || !strings.Contains(errs, tc.want) {
				t.Errorf("%d, %q, %q", status, out, errs)
			}
		})
	}
}

func TestDeleteForceOfNothingIsSilent(t *testing.T) {
	if status, out, errs := bailey(t, "delete", "--force", "web"); status != 0 || out+errs != "" {
		t.Errorf("%d, %q, %q", status, out, errs)
	}
	if status, _, errs := bailey(t, "delete", "web"); status != 1 || !strings.Contains(errs, "does not exist") {
		t.Errorf("%d, %q", status, errs)
	}
}

// A container may have the name of a command, of the one that is called even.
func TestContainersNamedAsCommands(t *testing.T) {
	for name := range commands {
		if status, _, errs := bailey(t, "state", name); status != 1 || !strings.Contains(errs, "does not exist") {
			t.Errorf("%s: %d, %q", name, status, errs)
		}
	}
}

// Engines read the last entry of the log.
func TestErrorReachesTheLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log.json")
	status, _, errs := bailey(t, "--log", log, "--log-format", "json", "kill", "web", "NOPE")
	if status != 1 || !strings.Contains(errs, "\n  try:   ") {
		t.Errorf("%d, %q", status, errs)
	}
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var entry struct{ Level, Msg, Time string }
	if err := json.Unmarshal(data, &entry); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	if entry.Level != "error" || entry.Time == "" || !strings.HasPrefix(entry.Msg, "kill web: unknown signal") || !strings.Contains(entry.Msg, "; try: ") {
		t.Errorf("%+v", entry)
	}
}

func TestNoLogWithoutAnError(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log.json")
	if status, _, errs := bailey(t, "--log", log, "list"); status != 0 {
		t.Fatal(errs)
	}
	if _, err := os.Stat(log); err == nil {
		t.Error("a log was made for nothing")
	}
}

func TestHelpAndVersion(t *testing.T) {
	status, out, _ := bailey(t, "--help")
	if status != 0 {
		t.Errorf("%d", status)
	}
	for name := range commands {
		if !strings.Contains(out, "   "+name+" ") {
			t.Errorf("--help lacks %s", name)
		}
		if status, out, errs := bailey(t, name, "--help"); status != 0 || !strings.Contains(out, "bailey "+name) {
			t.Errorf("%s --help: %d, %q, %q", name, status, out, errs)
		}
	}
	for _, flag := range []string{"--version", "-v"} {
		if status, out, _ := bailey(t, flag); status != 0 || !strings.HasPrefix(out, "bailey version 1.2.3\n") || !strings.Contains(out, "\nspec: ") {
			t.Errorf("%s: %d, %q", flag, status, out)
		}
	}
}

func TestList(t *testing.T) {
	if status, out, _ := bailey(t, "list"); status != 0 || strings.Count(out, "\n") != 1 || !strings.HasPrefix(out, "ID ") {
		t.Errorf("%d, %q", status, out)
	}
	if status, out, _ := bailey(t, "list", "-f", "json"); status != 0 || out != "[]\n" {
		t.Errorf("%d, %q", status, out)
	}
	if status, out, _ := bailey(t, "list", "-q"); status != 0 || out != "" {
		t.Errorf("%d, %q", status, out)
	}
}

func TestSpec(t *testing.T) {
	for _, flags := range [][]string{nil, {"--rootless"}, {"--hardened"}} {
		dir := t.TempDir()
		args := append([]string{"spec", "--bundle", dir}, flags...)
		if status, out, errs := bailey(t, args...); status != 0 || out+errs != "" {
			t.Fatalf("%v: %d, %q, %q", flags, status, out, errs)
		}
		data, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		var s specs.Spec
		if err := json.Unmarshal(data, &s); err != nil || s.Process == nil {
			t.Errorf("%v: %v", flags, err)
		}
		if status, _, errs := bailey(t, args...); status != 1 || !strings.Contains(errs, "exist") {
			t.Errorf("%v again: %d, %q", flags, status, errs)
		}
		if again, _ := os.ReadFile(filepath.Join(dir, "config.json")); !bytes.Equal(again, data) {
			t.Errorf("%v: the file was overwritten", flags)
		}
	}
}

// parse returns what parse makes of a command's flags.
func parse(t *testing.T, build func(*reporter) *cli.Command, action cli.ActionFunc, args ...string) error {
	t.Helper()
	c := build(&reporter{})
	c.Action = action
	app := &cli.App{Commands: []*cli.Command{c}, DisableSliceFlagSeparator: true, ExitErrHandler: func(*cli.Context, error) {}}
	return app.Run(append([]string{"bailey", c.Name}, args...))
}

func TestCreateOptions(t *testing.T) {
	t.Setenv("LISTEN_FDS", "3") // of another process
	err := parse(t, runCommand, func(ctx *cli.Context) error {
		o := createOptions(ctx)
		if o.ID != "web" || o.Bundle != "/b" || o.PIDFile != "/p" || o.ConsoleSocket != "/s" || !o.NoPivot || o.PreserveFDs != 2 || o.ListenFDs != 0 {
			t.Errorf("%+v", o)
		}
		if !ctx.Bool("no-subreaper") || !ctx.Bool("detach") {
			t.Error("a single dash was not understood")
		}
		return nil
	}, "--bundle", "/b", "-pid-file=/p", "--console-socket", "/s", "--no-pivot", "--preserve-fds", "2", "-no-subreaper", "-d", "web")
	if err != nil {
		t.Error(err)
	}
}

func TestFlagsBehindArguments(t *testing.T) {
	for in, want := range map[string]string{
		"kill web":                        "kill web",
		"kill web KILL --all":             "kill --all web KILL",
		"--root /r kill web -a 9":         "--root /r kill -a web 9",
		"--root=/r --debug kill web -a 9": "--root=/r --debug kill -a web 9",
		"update web --memory 1 --pids-limit=2 --cpu-share 3": "update --memory 1 --pids-limit=2 --cpu-share 3 web",
		"update web -r -":          "update -r - web",
		"update --memory 1 web":    "update --memory 1 web",
		"kill web -- -9":           "kill -- web -9",
		"kill -a web -- -9":        "kill -a -- web -9",
		"kill -- web -9":           "kill -- web -9",
		"delete web --nope":        "delete --nope web",
		"update web --memory":      "update --memory web",
		"exec web ls --all":        "exec web ls --all",
		"exec -d web -t ls":        "exec -d web -t ls",
		"ps web -o pid":            "ps web -o pid",
		"-- kill web -a":           "-- kill web -a",
		"nosuch web --all":         "nosuch web --all",
		"--debug":                  "--debug",
		"--root":                   "--root",
		"delete kill --force":      "delete --force kill",
		"run web --bundle /b -d -": "run --bundle /b -d web -",
	} {
		args := append([]string{"bailey"}, strings.Fields(in)...)
		if got := strings.Join(inOrder(newApp(args, "", &reporter{}), args)[1:], " "); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestExecChange(t *testing.T) {
	own := specs.Process{
		Terminal: true, Cwd: "/", Env: []string{"PATH=/bin"}, User: specs.User{UID: 7, GID: 8},
		Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}},
	}
	p := own
	err := parse(t, execCommand, func(ctx *cli.Context) error { return change(ctx, &p) },
		"-e", "A=1,2", "-e", "B=", "--cwd", "/x", "-u", "1:2", "-g", "3", "-g", "4", "--cap", "CAP_CHOWN", "web", "ls", "-l", "--env")
	if err != nil {
		t.Fatal(err)
	}
	want := specs.Process{
		Cwd: "/x", Env: []string{"PATH=/bin", "A=1,2", "B="}, Args: []string{"ls", "-l", "--env"},
		User: specs.User{UID: 1, GID: 2, AdditionalGids: []uint32{3, 4}},
		Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL", "CAP_CHOWN"},
			Permitted: []string{"CAP_CHOWN"}, Effective: []string{"CAP_CHOWN"}},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v", p)
	}
	for _, user := range []string{"root", "", "1:", ":1", "-1", "4294967295", "1:x", "1:2:3", "0x1", " 1"} {
		p := own
		if err := parse(t, execCommand, func(ctx *cli.Context) error { return change(ctx, &p) }, "-u", user, "web", "ls"); err == nil {
			t.Errorf("user %q was accepted: %+v", user, p.User)
		}
	}
}

func TestUpdateFlags(t *testing.T) {
	var got *specs.LinuxResources
	err := parse(t, updateCommand, func(ctx *cli.Context) (err error) { got, err = resourcesOf(ctx); return err },
		"--memory", "64m", "--memory-swap", "-1", "--cpu-quota", "-1", "--cpu-share", "512", "--pids-limit", "0", "--blkio-weight", "10",
		"--cpuset-cpus", "0-1", "web")
	if err != nil {
		t.Fatal(err)
	}
	limit, swap, quota, pids := int64(64<<20), int64(-1), int64(-1), int64(0)
	shares, weight := uint64(512), uint16(10)
	want := &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: &limit, Swap: &swap}, Pids: &specs.LinuxPids{Limit: &pids},
		CPU: &specs.LinuxCPU{Quota: &quota, Shares: &shares, Cpus: "0-1"}, BlockIO: &specs.LinuxBlockIO{Weight: &weight},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if err := parse(t, updateCommand, func(ctx *cli.Context) (err error) { got, err = resourcesOf(ctx); return err }, "web"); err != nil || !reflect.DeepEqual(got, &specs.LinuxResources{}) {
		t.Errorf("nothing set: %+v, %v", got, err)
	}
	file := filepath.Join(t.TempDir(), "r.json")
	if err := os.WriteFile(file, []byte(`{"pids":{"limit":5}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := parse(t, updateCommand, func(ctx *cli.Context) (err error) { got, err = resourcesOf(ctx); return err }, "--resources="+file, "web"); err != nil || *got.Pids.Limit != 5 {
		t.Errorf("from a file: %+v, %v", got, err)
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "-1": -1, "1": 1, "1b": 1, "1k": 1 << 10, "2KB": 2 << 10, "3MiB": 3 << 20, "4g": 4 << 30, "1T": 1 << 40} {
		if got, ok := parseSize(s); !ok || got != want {
			t.Errorf("%q: %d, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "-2", "x", "k", "1kk", "1mb2", "1.5g", "1ib", "9999999999g", "9223372036854775808", "+1", " 1"} {
		if got, ok := parseSize(s); ok {
			t.Errorf("%q: %d", s, got)
		}
	}
}

func TestPick(t *testing.T) {
	table := "UID PID CMD\nroot 1 init\nroot 22 sleep 1\nbob 2 22\n"
	got, err := pick([]byte(table), []int{22, 3})
	if want := "UID PID CMD\nroot 22 sleep 1\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := pick([]byte("CMD\ninit\n"), []int{1}); err == nil {
		t.Error("a table without PIDs was accepted")
	}
}

func TestFeatures(t *testing.T) {
	status, out, errs := bailey(t, "features")
	if status != 0 {
		t.Fatal(errs)
	}
	var f struct {
		OCIVersionMax string
		MountOptions  []string
		Linux         struct{ Namespaces, Capabilities []string }
	}
	if err := json.Unmarshal([]byte(out), &f); err != nil || f.OCIVersionMax != specs.Version || len(f.MountOptions) < 30 || len(f.Linux.Capabilities) != 41 {
		t.Errorf("%+v, %v", f, err)
	}
}

// Help is there by the words that people try, and complete.
func TestHelp(t *testing.T) {
	bailey := func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		status := run(append([]string{"bailey"}, args...), "1.2.3", &out, &errs)
		return status, out.String(), errs.String()
	}
	for name, args := range map[string][]string{"nothing": nil, "help": {"help"}, "-h": {"-h"}, "--help": {"--help"}} {
		if status, out, errs := bailey(args...); status != 0 || errs != "" || !strings.Contains(out, "--root value") || !strings.Contains(out, "checkpoint") {
			t.Errorf("%s: %d, %q, %q", name, status, out, errs)
		}
	}
	for name, args := range map[string][]string{"help run": {"help", "run"}, "run --help": {"run", "--help"}} {
		if status, out, errs := bailey(args...); status != 0 || errs != "" || !strings.Contains(out, "bailey run") || !strings.Contains(out, "--detach") {
			t.Errorf("%s: %d, %q, %q", name, status, out, errs)
		}
	}
	if status, _, errs := bailey("help", "frob"); status != 1 || !strings.Contains(errs, `unknown command "frob"`) {
		t.Errorf("help frob: %d, %q", status, errs)
	}
}
