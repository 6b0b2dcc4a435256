package spec

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// fill sets everything below v to a value that is not zero, so that a field which the decoder forgets
// shows up as a difference.
func fill(v reflect.Value, n *uint64) {
	*n++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			switch v.Type().Field(i).Name {
			case "Solaris", "Windows", "VM", "ZOS", "FreeBSD", "CommandLine", "Username":
				continue // of other platforms, and not decoded
			}
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		e := reflect.New(v.Type().Elem()).Elem()
		fill(e, n)
		v.SetMapIndex(reflect.ValueOf("key \"quoted\" é"), e)
	case reflect.String:
		v.SetString("value \\ \u00e9 " + strings.Repeat("x", int(*n%7)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(-int64(*n))
	default:
		v.SetUint(*n)
	}
}

func TestParseEveryField(t *testing.T) {
	var want specs.Spec
	var n uint64
	fill(reflect.ValueOf(&want).Elem(), &n)
	data, err := json.Marshal(&want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, &want) {
		back, _ := json.Marshal(got)
		t.Errorf("lost something:\n%s\n%s", data, back)
	}
}

// sameAsReflection compares the decoder with the library's reflecting one.
func sameAsReflection(t *testing.T, data []byte) {
	t.Helper()
	got, err := Parse(data)
	if err != nil {
		return
	}
	var want specs.Spec
	if err := jsonv2.Unmarshal(data, &want); err != nil {
		// What is for other platforms is not decoded and may hold anything.
		var semantic *jsonv2.SemanticError
		if errors.As(err, &semantic) {
			for _, other := range []jsontext.Pointer{
				"/windows", "/solaris", "/vm", "/zos", "/freebsd", "/process/commandLine", "/process/user/username",
			} {
				if other.Contains(semantic.JSONPointer) {
					return
				}
			}
		}
		t.Fatalf("Parse accepts what reflection refuses: %v", err)
	}
	want.Solaris, want.Windows, want.VM, want.ZOS, want.FreeBSD = nil, nil, nil, nil, nil
	if want.Process != nil {
		want.Process.CommandLine, want.Process.User.Username = "", ""
	}
	if !reflect.DeepEqual(got, &want) {
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(&want)
		t.Fatalf("decoders differ:\n%s\n%s", a, b)
	}
}

func TestParseRefuses(t *testing.T) {
	deep := `{"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`
	for _, c := range []struct{ name, data, origin string }{
		{"empty", ``, ""},
		{"null", `null`, ""},
		{"list", `[]`, ""},
		{"cut", `{"process":{"args":["a"`, "/process/args"},
		{"cut after name", `{"process"`, "/process"},
		{"no colon", `{"process" {}}`, "/process"},
		{"trailing object", `{} {}`, ""},
		{"trailing brace", `{}}`, ""},
		{"trailing NUL", "{}\x00", ""},
		{"trailing comma", `{"hostname":"a",}`, ""},
		{"comment", "{/* */}", ""},
		{"byte order mark", "\ufeff{}", ""},
		{"duplicate", `{"hostname":"a","hostname":"b"}`, "/hostname"},
		{"duplicate by escape", `{"hostname":"a","host\u006eame":"b"}`, "/hostname"},
		{"duplicate deep", `{"root":{"path":"a","path":"b"}}`, "/root/path"},
		{"duplicate in unknown field", `{"x":{"y":1,"y":2}}`, "/x/y"},
		{"duplicate map key", `{"linux":{"sysctl":{"a":"1","a":"2"}}}`, "/linux/sysctl/a"},
		{"invalid UTF-8", "{\"hostname\":\"\xff\"}", "/hostname"},
		{"invalid UTF-8 in name", "{\"\xff\":1}", ""},
		{"half a surrogate", `{"hostname":"\ud800"}`, "/hostname"},
		{"control character", "{\"hostname\":\"a\nb\"}", "/hostname"},
		{"string for object", `{"process":"sh"}`, "/process"},
		{"list for object", `{"root":[]}`, "/root"},
		{"object for list", `{"mounts":{}}`, "/mounts"},
		{"string for list", `{"process":{"args":"sh"}}`, "/process/args"},
		{"number for string", `{"process":{"args":["a",7]}}`, "/process/args/1"},
		{"string for bool", `{"root":{"readonly":"true"}}`, "/root/readonly"},
		{"number for bool", `{"process":{"terminal":1}}`, "/process/terminal"},
		{"object for bool", `{"process":{"terminal":{}}}`, "/process/terminal"},
		{"string for number", `{"process":{"user":{"uid":"0"}}}`, "/process/user/uid"},
		{"fraction", `{"process":{"user":{"uid":1.0}}}`, "/process/user/uid"},
		{"exponent", `{"process":{"user":{"gid":1e3}}}`, "/process/user/gid"},
		{"negative uid", `{"process":{"user":{"uid":-1}}}`, "/process/user/uid"},
		{"uid of 33 bits", `{"process":{"user":{"uid":4294967296}}}`, "/process/user/uid"},
		{"number of 65 bits", `{"process":{"rlimits":[{"type":"RLIMIT_CORE","hard":18446744073709551616}]}}`, "/process/rlimits/0/hard"},
		{"leading zero", `{"process":{"user":{"uid":010}}}`, "/process/user"},
		{"leading plus", `{"process":{"user":{"uid":+1}}}`, "/process/user/uid"},
		{"NaN", `{"process":{"oomScoreAdj":NaN}}`, "/process/oomScoreAdj"},
		{"weight of 17 bits", `{"linux":{"resources":{"blockIO":{"weight":65536}}}}`, "/linux/resources/blockIO/weight"},
		{"slash in a name", `{"annotations":{"a/b~c":1}}`, "/annotations/a~1b~0c"},
		{"line break in a name", `{"annotations":{"a\nb":1}}`, `/annotations/a\nb`},
		{"escape sequence in a name", `{"\u001b[2J":{"x":1,"x":2}}`, `/\x1b[2J/x`},
		{"list below a table", `{"linux":{"timeOffsets":{"boottime":[]}}}`, "/linux/timeOffsets/boottime"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantFault(t, c.data, c.origin)
		})
	}
	if _, err := Parse([]byte(deep)); err == nil {
		t.Error("20000 levels of nesting are accepted")
	}
}

func wantFault(t *testing.T, data, origin string) {
	t.Helper()
	_, err := Parse([]byte(data))
	checkFault(t, err, origin)
}

// checkFault fails unless err is a *fault.Error of one line for the field origin.
func checkFault(t *testing.T, err error, origin string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Fatalf("want an error for %q, got %v", origin, err)
	}
	if f.Origin != origin {
		t.Errorf("want origin %q, got %q (%v)", origin, f.Origin, err)
	}
	if strings.ContainsAny(err.Error(), "\n\x00") {
		t.Errorf("the error has more than one line: %q", err)
	}
	t.Log(err)
}

func TestParseAccepts(t *testing.T) {
	s, err := Parse([]byte(" {\"ociVersion\":\"1.0\", \"future\":{\"a\":[1,2,{}]}, \"Hostname\":\"x\",\n" +
		`"process":null, "mounts":[{"destination":"\/a\u0062","options":null}],` +
		`"windows":17, "linux":{"resources":{"memory":{"limit":-1,"swap":9223372036854775807}}}}` + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Hostname != "" || s.Process != nil || s.Mounts[0].Destination != "/ab" || s.Mounts[0].Options != nil {
		t.Errorf("%+v", s)
	}
	if m := s.Linux.Resources.Memory; *m.Limit != -1 || *m.Swap != 1<<63-1 {
		t.Errorf("%+v", m)
	}
}

func TestParseProcess(t *testing.T) {
	p, err := ParseProcess([]byte(`{"args":["id"],"cwd":"/","env":["A=b"],"user":{"uid":7,"additionalGids":[1,2]}}`))
	if err != nil || p.Args[0] != "id" || p.User.UID != 7 || p.User.AdditionalGids[1] != 2 {
		t.Errorf("%+v %v", p, err)
	}
	_, err = ParseProcess([]byte(`{"args":["id",{}]}`))
	checkFault(t, err, "process /args/1")
	_, err = ParseProcess([]byte(`[]`))
	checkFault(t, err, "process")
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	name := func(n string) string { return filepath.Join(dir, n) }
	write := func(n string, data []byte) string {
		if err := os.WriteFile(name(n), data, 0o600); err != nil {
			t.Fatal(err)
		}
		return name(n)
	}
	good, _ := json.Marshal(Example())
	path := write("config.json", good)
	if err := os.Symlink("config.json", name("link")); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, name("link")} {
		if s, err := Load(p); err != nil || !reflect.DeepEqual(s, Example()) {
			t.Errorf("%s: %v", p, err)
		}
	}
	if p, err := LoadProcess(write("process.json", []byte(`{"args":["id"]}`))); err != nil || p.Args[0] != "id" {
		t.Error(err)
	}

	if _, err := Load(name("missing")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("missing file: %v", err)
	}
	if err := unix.Mkfifo(name("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(write("large", nil), MaxSize+1); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{dir, name("fifo"), name("large"), "/dev/zero"} {
		_, err := Load(p)
		checkFault(t, err, "")
	}
	_, err := Load("/a\nb")
	checkFault(t, err, "")
	// procfs reports a size of zero for its files; this one is not JSON, but it must be read.
	if _, err := Load("/proc/self/status"); err == nil || !strings.Contains(err.Error(), "decode") {
		t.Errorf("file without a size: %v", err)
	}
}
