package libruntime

import (
	"reflect"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/libruntime/plan"
)

func TestCgroupMounts(t *testing.T) {
	got := cgroupMounts(map[string]string{
		"cpuacct": "/sys/fs/cgroup/cpu,cpuacct/x", "cpu": "/sys/fs/cgroup/cpu,cpuacct/x",
		"net_prio": "/cg/net/x", "net_cls": "/cg/net/x",
		"memory": "/sys/fs/cgroup/memory/x", "name=systemd": "/sys/fs/cgroup/systemd/x",
		"": "/sys/fs/cgroup/unified/x",
	})
	want := []plan.CgroupMount{
		{Name: "cpu,cpuacct", Data: "cpu,cpuacct", Path: "/sys/fs/cgroup/cpu,cpuacct/x", Links: []string{"cpu", "cpuacct"}},
		{Name: "memory", Data: "memory", Path: "/sys/fs/cgroup/memory/x"},
		{Name: "net_cls,net_prio", Data: "net_cls,net_prio", Path: "/cg/net/x", Links: []string{"net_cls", "net_prio"}},
		{Name: "systemd", Data: "name=systemd", Path: "/sys/fs/cgroup/systemd/x"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := cgroupMounts(map[string]string{"": "/sys/fs/cgroup/x"}); !reflect.DeepEqual(got, []plan.CgroupMount{{Path: "/sys/fs/cgroup/x"}}) {
		t.Errorf("v2: got %+v", got)
	}
	if got := cgroupMounts(nil); got != nil {
		t.Errorf("none: got %+v", got)
	}
}

func TestMountName(t *testing.T) {
	for path, want := range map[string]string{
		"/sys/fs/cgroup/cpuacct,cpu/x": "cpuacct,cpu",
		"/cg/net/a,b":                  "cpu,cpuacct",
	} {
		if got := mountName(path, "cpu,cpuacct"); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestCgroupOwner(t *testing.T) {
	config := func(options ...string) *specs.Spec {
		return &specs.Spec{
			Process: &specs.Process{User: specs.User{UID: 5}},
			Mounts:  []specs.Mount{{Type: "cgroup2", Source: "cgroup", Destination: "/sys/fs/cgroup", Options: options}},
			Linux: &specs.Linux{
				Namespaces:  []specs.LinuxNamespace{{Type: specs.CgroupNamespace}},
				UIDMappings: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 1}, {ContainerID: 1, HostID: 100000, Size: 10}},
			},
		}
	}
	if got := cgroupOwner(config("rw")); got == nil || *got != 100004 {
		t.Errorf("mapped: %v", got)
	}
	s := config()
	s.Linux.UIDMappings = nil
	if got := cgroupOwner(s); got == nil || *got != 5 {
		t.Errorf("not mapped: %v", got)
	}
	s = config()
	s.Process.User.UID = 11
	for name, s := range map[string]*specs.Spec{"read-only": config("nosuid", "ro"), "outside the map": s} {
		if got := cgroupOwner(s); got != nil {
			t.Errorf("%s: %d", name, *got)
		}
	}
	s = config()
	s.Linux.Namespaces[0].Path = "/proc/1/ns/cgroup"
	if got := cgroupOwner(s); got != nil {
		t.Errorf("a joined namespace: %d", *got)
	}
}

func TestCapabilities(t *testing.T) {
	last, held := capabilities()
	if last < 40 || held>>(last+1) != 0 {
		t.Errorf("last %d, held %#x", last, held)
	}
}

func TestSharesPIDs(t *testing.T) {
	for _, tc := range []struct {
		ns   []specs.LinuxNamespace
		want bool
	}{
		{nil, true},
		{[]specs.LinuxNamespace{{Type: specs.PIDNamespace}}, false},
		{[]specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.PIDNamespace, Path: "/proc/1/ns/pid"}}, true},
	} {
		if got := sharesPIDs(&specs.Spec{Linux: &specs.Linux{Namespaces: tc.ns}}); got != tc.want {
			t.Errorf("%v: %v", tc.ns, got)
		}
	}
}

func TestParseCPUs(t *testing.T) {
	mask, err := parseCPUs("0-2, 64,127")
	if err != nil || mask[0] != 7 || mask[1] != 1|1<<63 {
		t.Errorf("%#x, %v", mask[:2], err)
	}
	for _, s := range []string{"", "x", "3-1", "1-", "-1", "8192", "0,", "1--2", "0x1"} {
		if _, err := parseCPUs(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}
