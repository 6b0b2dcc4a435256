package hostile

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// What may lie in place of config.json, as files go. None may be waited for or read without end.
var configFiles = []struct {
	name  string
	place func(p *place, path string) error
	want  string
}{
	{"missing", func(*place, string) error { return nil }, "ENOENT: no such file or directory"},
	{"FIFO", func(_ *place, path string) error { return unix.Mkfifo(path, 0o644) }, "not a regular file"},
	{"directory", func(_ *place, path string) error { return os.Mkdir(path, 0o755) }, "not a regular file"},
	{"endless device", func(_ *place, path string) error { return os.Symlink("/dev/zero", path) }, "not a regular file"},
	{"socket", func(_ *place, path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o644, 0) }, "ENXIO"},
	{"link to itself", func(_ *place, path string) error { return os.Symlink("config.json", path) }, "ELOOP"},
	{"link to a FIFO", func(p *place, path string) error { return os.Symlink(p.fifo("fifo"), path) }, "not a regular file"},
	{"a sparse terabyte", func(_ *place, path string) error {
		f, err := os.Create(path)
		if err == nil {
			err = f.Truncate(1 << 40)
			f.Close()
		}
		return err
	}, "more than"},
}

func TestConfigFiles(t *testing.T) {
	for _, tc := range configFiles {
		t.Run(tc.name, func(t *testing.T) {
			p := newPlace(t)
			c := p.Container(harness.Args("true"))
			path := c.Bundle + "/config.json"
			p.Must(os.Remove(path))
			p.Must(tc.place(p, path))
			check := p.unchanged(c.Bundle)
			p.refused(c.Create(), "create "+c.ID, "config.json", tc.want)
			p.refused(c.Run(), "run "+c.ID, "config.json", tc.want)
			p.refused(p.Bailey("plan", "--bundle", c.Bundle), "config.json", tc.want)
			check()
		})
	}
}

// What config.json may hold that is not the JSON of an object. VALID stands for a good configuration.
var configTexts = []struct{ name, text, want string }{
	{"empty", "", "config.json"},
	{"blank", " \n\t ", "config.json"},
	{"no JSON", "ociVersion: 1.0.2\n", "config.json"},
	{"binary", "\x7fELF\x02\x01\x01\x00", "config.json"},
	{"a list", "[VALID]", "config.json"},
	{"null", "null", "config.json"},
	{"a string", `"VALID"`, "config.json"},
	{"two objects", "VALID{}", "config.json"},
	{"trailing NUL", "VALID\x00", "config.json"},
	{"byte order mark", "\xef\xbb\xbfVALID", "config.json"},
	{"truncated", `{"ociVersion":"1.0.2","process":{"args":["sh"`, "config.json"},
	{"duplicate", `{"ociVersion":"1.0.2","ociVersion":"1.0.2"}`, "/ociVersion"},
	{"duplicate by an escape", `{"ociVersion":"1.0.2","root":{"path":"a","p\u0061th":"/"}}`, "/root/path"},
	{"duplicate in a map", `{"ociVersion":"1.0.2","annotations":{"a":"b","a":"c"}}`, "/annotations/a"},
	{"invalid UTF-8", "{\"ociVersion\":\"1.0.2\",\"hostname\":\"\xff\xfe\"}", "/hostname"},
	{"invalid UTF-8 in a name", "{\"ociVersion\":\"1.0.2\",\"annotations\":{\"\xc0\xaf\":\"\"}}", "/annotations"},
	{"half a surrogate pair", `{"ociVersion":"1.0.2","hostname":"\ud800"}`, "/hostname"},
	{"terminal escapes", "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"},\"linux\":{\"namespaces\":[{\"type\":\"\\u001b[2J\\nbailey: ok\"}]}}", "/linux/namespaces/0/type"},
	{"comment", `{"ociVersion":"1.0.2", // the newest
}`, "config.json"},
	{"trailing comma", `{"ociVersion":"1.0.2",}`, "config.json"},
	{"a million brackets", strings.Repeat("[", 1_000_000), "config.json"},
	{"deep in an unknown field", `{"ociVersion":"1.0.2","x":` + strings.Repeat(`{"x":`, 500_000), "config.json"},
	{"too large", `{"ociVersion":"1.0.2","annotations":{"a":"` + strings.Repeat("x", 17<<20) + `"}}`, "config.json"},
	{"all empty", "{}", "/ociVersion"},
	{"wrong case", `{"OCIVersion":"1.0.2","Root":{"path":"rootfs"}}`, "/ociVersion"},
}

func TestConfigTexts(t *testing.T) {
	for _, tc := range configTexts {
		t.Run(tc.name, func(t *testing.T) {
			p := newPlace(t)
			c := p.Container(harness.Args("true"))
			c.WriteConfig([]byte(strings.ReplaceAll(tc.text, "VALID", string(config(t, c)))))
			p.refused(c.Create(), "create "+c.ID, tc.want)
			p.refused(c.Run(), tc.want)
		})
	}
}

func TestBundles(t *testing.T) {
	p := newPlace(t)
	c := p.Container(harness.Args("true"))
	other := p.Container()
	p.Must(os.Rename(other.Bundle+"/config.json", p.Path("other.json")))
	for bundle, want := range map[string]string{
		p.Path("none"):                 "ENOENT",
		c.Bundle + "/config.json":      "ENOTDIR",
		c.Bundle + "/rootfs":           "ENOENT",
		p.fifo("bundle"):               "ENOTDIR",
		"/" + strings.Repeat("x", 300): "ENAMETOOLONG",
		strings.Repeat("/x", 3000):     "ENAMETOOLONG",
		"/dev/null":                    "ENOTDIR",
	} {
		p.refused(p.Bailey("create", "--bundle", bundle, c.ID), "--bundle", want)
	}
	p.refused(p.Bailey("run", "--bundle", other.Bundle, "--config", p.fifo("config"), c.ID), p.Path("config"), "not a regular file")
	// Found out before anything is made: the state directory would be the first of it.
	p.Must(os.RemoveAll(p.Root))
	p.refused(p.Bailey("create", "--bundle", p.Path("none"), c.ID))
	if _, err := os.Stat(p.Root); err == nil {
		t.Error("a state directory was made for nothing")
	}
	p.Must(os.Mkdir(p.Root, 0o700))
}
