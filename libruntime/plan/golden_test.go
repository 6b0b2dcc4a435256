package plan

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/spec"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

const allCapabilities = 1<<41 - 1

// machine returns the options of a machine with the unified cgroup hierarchy and a caller who may everything.
func machine() Options {
	return Options{ID: "web", Bundle: "/bundle", CgroupDirectory: true,
		CgroupMounts: []CgroupMount{{Path: "/sys/fs/cgroup/web"}}, LastCap: 40, Held: allCapabilities}
}

// cgroup1 changes o to a machine with the v1 hierarchies.
func cgroup1(o *Options) {
	o.CgroupDirectory, o.CgroupTasks = false, 3
	o.CgroupMounts = []CgroupMount{
		{Name: "cpu,cpuacct", Data: "cpu,cpuacct", Path: "/sys/fs/cgroup/cpu,cpuacct/web", Links: []string{"cpu", "cpuacct"}},
		{Name: "memory", Data: "memory", Path: "/sys/fs/cgroup/memory/web"},
		{Name: "systemd", Data: "name=systemd", Path: "/sys/fs/cgroup/systemd/web"},
	}
}

// machines are the options that differ from machine's, by the name of the configuration.
var machines = map[string]func(*Options){
	"docker": func(o *Options) { o.PreserveFDs = 2 },
	"rootless": func(o *Options) {
		o.InUserNamespace, o.Unprivileged, o.SetgroupsDenied, o.CgroupDirectory = true, true, true, false
	},
	"cgroup1":         cgroup1,
	"cgroup1-private": cgroup1,
	"shared":          func(o *Options) { o.NoPivot, o.NoNewKeyring, o.Attached = true, true, true },
}

// optionsFor returns the options that a test configuration is compiled with.
func optionsFor(name string, s *specs.Spec) Options {
	o := machine()
	if s.Linux.Seccomp != nil {
		o.SeccompProgram = make([]byte, 8*12)
	}
	if change := machines[name]; change != nil {
		change(&o)
	}
	return o
}

func execOptions(o Options) ExecOptions {
	return ExecOptions{ID: o.ID, NoNewKeyring: o.NoNewKeyring, PreserveFDs: o.PreserveFDs, CgroupTasks: o.CgroupTasks,
		CgroupDirectory: o.CgroupDirectory, SeccompProgram: o.SeccompProgram, SeccompFlags: o.SeccompFlags,
		LastCap: o.LastCap, Held: o.Held, SetgroupsDenied: o.SetgroupsDenied, Securebits: o.Securebits,
		SeccompDenies: o.SeccompDenies, Sealed: o.Seal}
}

// configurations returns the valid configurations of testdata by name, with the example among them.
func configurations(t testing.TB) map[string]*specs.Spec {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no configurations in testdata: ", err)
	}
	all := map[string]*specs.Spec{"example": spec.Example()}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		s, err := spec.Parse(data)
		if err == nil {
			err = spec.Validate(s)
		}
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		all[strings.TrimSuffix(filepath.Base(f), ".json")] = s
	}
	return all
}

func TestGolden(t *testing.T) {
	for name, s := range configurations(t) {
		t.Run(name, func(t *testing.T) {
			o := optionsFor(name, s)
			p, err := Compile(s, o)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, name+".create", p)
			p, err = CompileExec(s.Process, s, execOptions(o))
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, name+".exec", p)
		})
	}
}

// confined are configurations with choices that config.json has no words for, by the name of the golden file.
var confined = map[string]struct {
	config string
	change func(*Options)
}{
	"userns.sealed": {"userns", func(o *Options) { o.Seal = true }},
	"docker.sealed": {"docker", func(o *Options) { o.Seal = true }},
	"docker.limited": {"docker", func(o *Options) {
		o.NamespaceLimits, o.SeccompDenies = map[Namespace]uint32{UserNS: 0, NetworkNS: 0}, UserNS|NetworkNS
	}},
	"rootless.sealed": {"rootless", func(o *Options) {
		o.Seal, o.Securebits, o.NamespaceLimits = true, 0x2f, map[Namespace]uint32{NetworkNS: 2, MountNS: 0}
	}},
	"userns.limited": {"userns", func(o *Options) { o.NamespaceLimits = map[Namespace]uint32{UserNS: 0, MountNS: 3} }},
}

func TestGoldenConfined(t *testing.T) {
	for name, want := range confined {
		t.Run(name, func(t *testing.T) {
			s := configurations(t)[want.config]
			o := optionsFor(want.config, s)
			want.change(&o)
			p, err := Compile(s, o)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, name+".create", p)
			p, err = CompileExec(s.Process, s, execOptions(o))
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, name+".exec", p)
		})
	}
}

// The containers of a pod and of Docker whose configurations know nothing of the user namespace that they are given.
func TestGoldenOwnIDs(t *testing.T) {
	for _, config := range []string{"pod", "docker"} {
		s := configurations(t)[config]
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		s.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: 300000, Size: 65536}}
		s.Linux.GIDMappings = []specs.LinuxIDMapping{{HostID: 400000, Size: 65536}}
		s.Linux.Devices = append(s.Linux.Devices, specs.LinuxDevice{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229, UID: new(uint32)})
		if config == "pod" {
			s.Hostname, s.Linux.Sysctl = "web", map[string]string{"net.ipv4.ip_unprivileged_port_start": "0", "kernel.shmmni": "4000"}
		}
		o := optionsFor(config, s)
		o.OwnIDs = true
		p, err := Compile(s, o)
		if err != nil {
			t.Fatal(err)
		}
		compareGolden(t, config+".own-ids.create", p)
	}
}

func TestGoldenJSON(t *testing.T) {
	s := configurations(t)["docker"]
	p, err := Compile(s, optionsFor("docker", s))
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "testdata/docker.create.golden.json.txt", string(got)+"\n")
}

func compareGolden(t *testing.T, name string, p *Plan) {
	t.Helper()
	for _, err := range p.Check() {
		t.Error(err)
	}
	compare(t, "testdata/"+name+".golden", p.Text())
}

func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (make it with: go test ./libruntime/plan -update)", err)
	}
	if got == string(want) {
		return
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		g, w := lineOf(gotLines, i), lineOf(wantLines, i)
		if g != w {
			t.Fatalf("%s, line %d:\n got %s\nwant %s", file, i+1, g, w)
		}
	}
}

func lineOf(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(none)"
}
