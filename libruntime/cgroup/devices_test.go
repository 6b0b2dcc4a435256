package cgroup

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// rules parses the short form "+c 1:3 rwm" of device rules, "*" being any number and "a" all types.
func rules(list ...string) *specs.LinuxResources {
	r := &specs.LinuxResources{}
	for _, text := range list {
		f := strings.Fields(text[1:])
		d := specs.LinuxDeviceCgroup{Allow: text[0] == '+', Type: f[0]}
		if len(f) > 1 {
			major, minor, _ := strings.Cut(f[1], ":")
			d.Major, d.Minor, d.Access = devNo(major), devNo(minor), f[2]
		}
		r.Devices = append(r.Devices, d)
	}
	return r
}

func devNo(s string) *int64 {
	if s == "*" {
		return nil
	}
	n := int64(0)
	for _, c := range s {
		n = 10*n + int64(c-'0')
	}
	return &n
}

// form is a ruleset without the default devices, as text.
func form(rs *ruleset) string {
	for _, d := range defaultDevices {
		if !rs.allowAll {
			rs.drop(d.device, d.access)
		}
	}
	text := "deny"
	if rs.allowAll {
		text = "allow"
	}
	for _, d := range rs.sorted() {
		text += ", " + d.String() + " " + rs.exceptions[d].String()
	}
	return text
}

func TestDeviceRules(t *testing.T) {
	for _, c := range []struct {
		rules []string
		want  string // "" for an error
	}{
		{nil, "deny"},
		{[]string{"-a"}, "deny"},
		{[]string{"+a"}, "allow"},
		{[]string{"-a", "+c 10:229 rw"}, "deny, c 10:229 rw"},
		{[]string{"+c 10:229 rw", "+c 10:229 m"}, "deny, c 10:229 rwm"},
		{[]string{"+c 10:229 rwm", "-c 10:229 w"}, "deny, c 10:229 rm"},
		{[]string{"+c 10:229 rwm", "-a"}, "deny"},
		{[]string{"+a", "-c 10:229 rw"}, "allow, c 10:229 rw"},
		{[]string{"+a", "-c 10:229 rw", "+c 10:229 r"}, "allow, c 10:229 w"},
		{[]string{"+c 10:* rw", "-c 10:229 r"}, ""},              // would punch a hole
		{[]string{"+c 10:* r", "-c 10:229 w"}, "deny, c 10:* r"}, // nothing in common
		{[]string{"+b 8:0 r"}, "deny, b 8:0 r"},
		{[]string{"+u 10:229 r"}, "deny, c 10:229 r"},
		{[]string{"+c 10:229 x"}, ""},
		{[]string{"+p 10:229 r"}, ""},
		{[]string{"+a 1:3 rwm"}, ""},
		{[]string{"-a *:* r"}, ""},
		{[]string{"+c 4294967296:0 r"}, ""},
	} {
		rs, err := deviceRules(rules(c.rules...))
		got := ""
		if err == nil {
			got = form(rs)
		}
		if got != c.want {
			t.Errorf("%v: %q (%v), want %q", c.rules, got, err, c.want)
		}
	}
	if _, err := deviceRules(&specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Type: "c"}}}); err == nil {
		t.Error("a rule without access is accepted")
	}
}

// What a process in the container can open, and what it can make.
func TestDevicesInForce(t *testing.T) {
	var st unix.Stat_t
	const fuse = "/dev/fuse" // 10:229; /dev/vda and kin can be refused for other reasons
	if err := unix.Stat(fuse, &st); err != nil {
		t.Skipf("%s: %v", fuse, err)
	}
	for _, c := range []struct {
		name  string
		rules []string
		want  string // what of fuse: read, write, read+write; then null and the mknod of fuse
	}{
		{"default", nil, "--- null mknod"},
		{"deny all", []string{"-a"}, "--- null mknod"},
		{"allow all", []string{"+a"}, "rwb null mknod"},
		{"allowed", []string{"-a", "+c 10:229 rwm"}, "rwb null mknod"},
		{"read only", []string{"+c 10:229 r"}, "r-- null mknod"},
		{"any minor", []string{"+c 10:* rw"}, "rwb null mknod"},
		{"other minor", []string{"+c 10:228 rw"}, "--- null mknod"},
		{"other type", []string{"+b 10:229 rw"}, "--- null mknod"},
		{"all but", []string{"+a", "-c 10:229 rwm"}, "--- null"},
		{"all but writing", []string{"+a", "-c 10:229 w"}, "r-- null mknod"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := create(t, testSpec(t, rules(c.rules...)), Options{})
			check := func(m *Manager, want string) {
				p := spawn(t, m)
				node := t.TempDir() + "/node"
				got := p.do(t, `{ { : <`+fuse+`; } 2>/dev/null && echo -n r || echo -n -; { : >`+fuse+`; } 2>/dev/null && echo -n w || echo -n -; `+
					`{ : <>`+fuse+`; } 2>/dev/null && echo -n b || echo -n -; { : <>/dev/null; } && echo -n " null"; mknod `+node+` c 10 229 2>/dev/null && echo -n " mknod"; echo; }`)
				if got != want {
					t.Errorf("%v: %q, want %q", c.rules, got, want)
				}
			}
			check(m, c.want)
			// An update replaces the rules; nothing of the old ones is left.
			if err := m.Update(rules("-a", "+c 10:229 r")); err != nil {
				t.Fatal(err)
			}
			check(m, "r-- null mknod")
			if err := m.Update(rules("+a")); err != nil {
				t.Fatal(err)
			}
			check(m, "rwb null mknod")
		})
	}
}

// The kernel lists rules in the order in which it gets them, and people read them there.
func TestDeviceOrder(t *testing.T) {
	rs, err := deviceRules(rules("-a", "+c 10:229 r", "+b 8:20 rw", "+c 10:229 wm", "+c 9:9 r", "-c 9:9 r"))
	if err != nil {
		t.Fatal(err)
	}
	if len(rs.order) != len(rs.exceptions) || rs.order[0].String() != "c 10:229" || rs.order[1].String() != "b 8:20" ||
		rs.order[2] != defaultDevices[0].device {
		t.Errorf("%v", rs.order)
	}
}

func TestDeniesAll(t *testing.T) {
	for list, want := range map[string]bool{"-a": true, "-a *:* rwm": true, "-a,+c 10:229 rw": false, "-c 10:229 rwm": false, "+a": false} {
		if got := deniesAll(rules(strings.Split(list, ",")...).Devices); got != want {
			t.Errorf("%s: %v", list, got)
		}
	}
}

func TestRootlessLeavesDevicesAlone(t *testing.T) {
	m := create(t, testSpec(t, rules("-a")), Options{Rootless: true})
	if w := m.Warnings(); len(w) != 1 || !strings.Contains(w[0], "device rules") {
		t.Errorf("warnings: %v", w)
	}
	if m.Mode() != V2 {
		list, err := os.ReadFile(m.Path("devices") + "/devices.list")
		if err != nil || strings.TrimSpace(string(list)) != "a *:* rwm" {
			t.Errorf("devices.list: %q, %v", list, err)
		}
	}
}
