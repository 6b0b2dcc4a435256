package store

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func testRoot(t *testing.T) Root {
	t.Helper()
	return Root(filepath.Join(t.TempDir(), "deep", "root"))
}

func testRecord(id string) *Record {
	return &Record{
		Version: "1.3.0", ID: id, Status: Running, PID: 4711, StartTime: 1234567,
		Bundle: "/bundle \"x\"", Rootfs: "/bundle/rootfs",
		Created: time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC), UID: 1000,
		Annotations: map[string]string{"a": "b\n", "c/d": "ü"},
		CgroupPaths: map[string]string{"": "/sys/fs/cgroup/x", "memory": "/sys/fs/cgroup/memory/x"},
		Hooks:       []string{"poststart", "poststop"},
		Rootless:    true, SharedPIDs: true, Sealed: true, DeniedNamespaces: 0x10000000, Securebits: 0x2f,
	}
}

func TestRecordSurvivesTheFile(t *testing.T) {
	c, err := testRoot(t).Create("web")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := testRecord("web")
	if err := c.Write(want); err != nil {
		t.Fatal(err)
	}
	got, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := c.WriteConfig([]byte("{}")); err != nil {
		t.Fatal(err)
	}
	if data, err := c.ReadConfig(); err != nil || string(data) != "{}" {
		t.Errorf("ReadConfig: %q, %v", data, err)
	}
	if err := c.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
}

func TestRecordRefusesPathsThatAreNotText(t *testing.T) {
	r := testRecord("web")
	r.Bundle = "/\xff"
	if _, err := r.encode(); err == nil || !strings.Contains(err.Error(), "/bundle") {
		t.Errorf("got %v", err)
	}
}

func TestCreateTwice(t *testing.T) {
	root := testRoot(t)
	c, err := root.Create("web")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := root.Create("web"); !errors.Is(err, ErrExist) {
		t.Errorf("got %v", err)
	}
}

func TestOpenUnknown(t *testing.T) {
	root := testRoot(t)
	if _, err := root.Open("web"); !errors.Is(err, ErrNotExist) || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("got %v", err)
	}
	if ids, err := root.IDs(); err != nil || ids != nil {
		t.Errorf("IDs without a root: %v, %v", ids, err)
	}
}

func TestHalfCreatedHasNoRecord(t *testing.T) {
	c, err := testRoot(t).Create("web")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Read(); !errors.Is(err, ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestIDs(t *testing.T) {
	root := testRoot(t)
	for _, id := range []string{"b", "a"} {
		c, err := root.Create(id)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if err := os.Mkdir(string(root)+"/@cache", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(string(root)+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if ids, err := root.IDs(); err != nil || !reflect.DeepEqual(ids, []string{"a", "b"}) {
		t.Errorf("got %v, %v", ids, err)
	}
}

func TestCheckID(t *testing.T) {
	for _, id := range []string{"a", "A_9+-.z", "...", ".a", strings.Repeat("x", 255)} {
		if err := CheckID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, id := range []string{"", ".", "..", "a/b", "a b", "ä", "a\x00", "../x", "a:b", strings.Repeat("x", 256)} {
		if err := CheckID(id); err == nil || !strings.Contains(err.Error(), "invalid container ID format") {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestForeignDirectory(t *testing.T) {
	root := testRoot(t)
	c, err := root.Create("web")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := os.Chmod(string(root)+"/web", 0o770); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Open("web"); err == nil || !strings.Contains(err.Error(), "others can change") {
		t.Errorf("writable by the group: %v", err)
	}
	if err := os.Symlink("web", string(root)+"/link"); err != nil {
		t.Fatal(err)
	}
	if _, err := root.Open("link"); err == nil {
		t.Error("a symbolic link was followed")
	}
}

func TestLockExcludesAndNoticesRemoval(t *testing.T) {
	root := testRoot(t)
	first, err := root.Create("web")
	if err != nil {
		t.Fatal(err)
	}
	second, err := root.Open("web")
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := second.LockWithin(20 * time.Millisecond); !errors.Is(err, ErrBusy) {
		t.Errorf("lock of a locked container: %v", err)
	}
	got := make(chan error)
	go func() { got <- second.Lock() }()
	if err := first.Remove(); err != nil {
		t.Fatal(err)
	}
	third, err := root.Create("web") // the same name, another container
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	first.Close()
	if err := <-got; !errors.Is(err, ErrNotExist) {
		t.Errorf("lock of a removed container: %v", err)
	}
}

func TestHostileState(t *testing.T) {
	good, err := testRecord("web").encode()
	if err != nil {
		t.Fatal(err)
	}
	with := func(old, new string) string {
		s := strings.Replace(string(good), old, new, 1)
		if s == string(good) {
			t.Fatalf("%q is not in %s", old, good)
		}
		return s
	}
	for name, tc := range map[string]struct{ data, field, why string }{
		"empty":            {"", "state.json", "empty"},
		"no object":        {"[]", "state.json", "not a JSON object"},
		"binary":           {"\x00\x01", "state.json", "not a JSON object"},
		"truncated":        {string(good[:len(good)/2]), "state.json", "ends in the middle"},
		"no brace":         {strings.TrimSuffix(string(good), "}\n"), "state.json", "ends in the middle"},
		"trailing":         {string(good) + "{}", "state.json", "follows the closing brace"},
		"duplicate":        {with(`"uid":1000`, `"uid":1000,"uid":0`), "state.json", "duplicate"},
		"invalid UTF-8":    {with("/rootfs", "/\xff"), "state.json", "UTF-8"},
		"pid negative":     {with(`"pid":4711`, `"pid":-1`), "/pid", "whole number"},
		"pid huge":         {with(`"pid":4711`, `"pid":4294967297`), "/pid", "whole number"},
		"pid fraction":     {with(`"pid":4711`, `"pid":4711.0`), "/pid", "whole number"},
		"pid exponent":     {with(`"pid":4711`, `"pid":4e3`), "/pid", "whole number"},
		"pid string":       {with(`"pid":4711`, `"pid":"1"`), "/pid", "whole number"},
		"pid object":       {with(`"pid":4711`, `"pid":{}`), "/pid", "whole number"},
		"pid missing":      {with(`"pid":4711,`, ``), "/pid", "missing"},
		"pid zero":         {with(`"pid":4711`, `"pid":0`), "/pid", "is 0"},
		"start time zero":  {with(`"startTime":1234567`, `"startTime":0`), "/startTime", "pid"},
		"start time text":  {with(`"startTime":1234567`, `"startTime":null`), "/startTime", "whole number"},
		"status unknown":   {with(`"running"`, `"paused"`), "/status", "none of"},
		"status number":    {with(`"running"`, `7`), "/status", "not a string"},
		"bundle relative":  {with(`"bundle":"/`, `"bundle":"./`), "/bundle", "absolute"},
		"rootfs empty":     {with(`"/bundle/rootfs"`, `""`), "/rootfs", "absolute"},
		"created no time":  {with("2026-01-02T", "yesterday "), "/created", "not a time"},
		"cgroups a list":   {with(`"cgroupPaths":{`, `"x":0,"cgroupPaths":[],"y":{`), "/cgroupPaths", "not an object"},
		"cgroup a number":  {with(`"/sys/fs/cgroup/x"`, `3`), "/cgroupPaths/", "not a string"},
		"rootless a word":  {with(`"rootless":true`, `"rootless":"yes"`), "/rootless", "true or false"},
		"sealed a number":  {with(`"sealed":true`, `"sealed":1`), "/sealed", "true or false"},
		"many securebits":  {with(`"securebits":47`, `"securebits":256`), "/securebits", "whole number"},
		"many namespaces":  {with(`"deniedNamespaces":268435456`, `"deniedNamespaces":4294967296`), "/deniedNamespaces", "whole number"},
		"hooks a word":     {with(`["poststart","poststop"]`, `"poststop"`), "/hooks", "not a list"},
		"hook a number":    {with(`["poststart","poststop"]`, `["poststop",1]`), "/hooks/1", "not a string"},
		"hooks unended":    {with(`["poststart","poststop"]`, `["poststop"`), "state.json", "invalid character"},
		"id of another":    {with(`"id":"web"`, `"id":"db"`), "/id", "directory of container web"},
		"name with escape": {with(`"uid":1000`, `"\u0075id":1000,"uid":2`), "state.json", "duplicate"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := testRoot(t).Create("web")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.replace(stateFile, []byte(tc.data)); err != nil {
				t.Fatal(err)
			}
			_, err = c.Read()
			if err == nil || !strings.Contains(err.Error(), tc.field) || !strings.Contains(err.Error(), tc.why) {
				t.Errorf("got %v, want an error about %s that says %q", err, tc.field, tc.why)
			}
		})
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	good, _ := testRecord("web").encode()
	data := strings.Replace(string(good), "{", `{"future":{"x":[1,2]},`, 1)
	if _, err := decode([]byte(data)); err != nil {
		t.Error(err)
	}
}

func TestStateThatIsNoFile(t *testing.T) {
	c, err := testRoot(t).Create("web")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	path := c.path + "/" + stateFile
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(); err == nil {
		t.Error("a FIFO was read")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", path); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a symbolic link: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	good, err := testRecord("web").encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"pid":0}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(data)
		if err != nil {
			return
		}
		again, err := r.encode()
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		if _, err := decode(again); err != nil {
			t.Fatalf("what was encoded cannot be decoded: %v", err)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	c, err := Root(b.TempDir()).Create("web")
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	rec := testRecord("web")
	for b.Loop() {
		if err := c.Write(rec); err != nil {
			b.Fatal(err)
		}
	}
}
