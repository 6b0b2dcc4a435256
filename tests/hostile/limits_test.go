package hostile

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

var limits = []refusal{
	{"cgroup path with ..", linuxWith(`"cgroupsPath":"/@ID/../../@ID"`), "/linux/cgroupsPath", ""},
	{"cgroup path relative with ..", linuxWith(`"cgroupsPath":"../../@ID"`), "/linux/cgroupsPath", ""},
	{"cgroup path the root", linuxWith(`"cgroupsPath":"/"`), "/linux/cgroupsPath", ""},
	{"cgroup path the root in other words", linuxWith(`"cgroupsPath":"/.//./"`), "/linux/cgroupsPath", ""},
	{"cgroup path with a newline", linuxWith(`"cgroupsPath":"/@ID\nx"`), "/linux/cgroupsPath", ""},
	{"cgroup path with NUL", linuxWith(`"cgroupsPath":"/@ID\u0000"`), "/linux/cgroupsPath", ""},
	{"cgroup path too long", linuxWith(`"cgroupsPath":"/@ID` + strings.Repeat("/xxxxxxxx", 600) + `"`), "/linux/cgroupsPath", "ENAMETOOLONG"},
	{"cgroup path a control file", linuxWith(`"cgroupsPath":"/cgroup.procs"`), "/linux/cgroupsPath", ""},
	{"cgroup path below a control file", linuxWith(`"cgroupsPath":"/cgroup.procs/@ID"`), "/linux/cgroupsPath", ""},
	{"memory negative", resourcesOf(`"memory":{"limit":-2}`), "/linux/resources/memory/limit", ""},
	{"memory of one byte", resourcesOf(`"memory":{"limit":1}`), "/linux/resources/memory", ""},
	{"swap below memory", resourcesOf(`"memory":{"limit":100000000,"swap":1}`), "/linux/resources/memory/swap", ""},
	{"swappiness", resourcesOf(`"memory":{"swappiness":101}`), "/linux/resources/memory/swappiness", ""},
	{"CPUs that do not exist", resourcesOf(`"cpu":{"cpus":"4000-4001"}`), "/linux/resources/cpu/cpus", ""},
	{"CPUs not a list", resourcesOf(`"cpu":{"cpus":"all"}`), "/linux/resources/cpu/cpus", ""},
	{"memory nodes", resourcesOf(`"cpu":{"mems":"900"}`), "/linux/resources/cpu/mems", ""},
	{"CPU quota", resourcesOf(`"cpu":{"quota":1,"period":100000}`), "/linux/resources/cpu/quota", ""},
	{"CPU period", resourcesOf(`"cpu":{"period":1}`), "/linux/resources/cpu/period", ""},
	{"real-time runtime", resourcesOf(`"cpu":{"realtimeRuntime":2000000,"realtimePeriod":1000000}`), "/linux/resources/cpu/realtime", ""},
	{"block weight", resourcesOf(`"blockIO":{"weight":1}`), "/linux/resources/blockIO/weight", ""},
	{"device to throttle", resourcesOf(`"blockIO":{"throttleReadBpsDevice":[{"major":4000,"minor":1,"rate":1}]}`), "/linux/resources/blockIO/throttleReadBpsDevice", ""},
	{"page size", resourcesOf(`"hugepageLimits":[{"pageSize":"3MB","limit":1}]`), "/linux/resources/hugepageLimits/0", ""},
	{"page size with a path", resourcesOf(`"hugepageLimits":[{"pageSize":"../2MB","limit":1}]`), "/linux/resources/hugepageLimits/0", ""},
	{"device rule", resourcesOf(`"devices":[{"allow":true,"type":"x"}]`), "/linux/resources/devices/0/type", ""},
	{"device access", resourcesOf(`"devices":[{"allow":true,"access":"rwx"}]`), "/linux/resources/devices/0/access", ""},
	{"RDMA", resourcesOf(`"rdma":{"none0":{"hcaHandles":1}}`), "/linux/resources/rdma", ""},
	{"network priority", resourcesOf(`"network":{"priorities":[{"name":"none0","priority":1}]}`), "/linux/resources/network", ""},
	{"unified with a path", resourcesOf(`"unified":{"../memory.high":"1"}`), "/linux/resources/unified", ""},
	{"unified unknown", resourcesOf(`"unified":{"memory.none":"1"}`), "/linux/resources/unified", ""},
	{"unified that freezes", resourcesOf(`"unified":{"cgroup.freeze":"1"}`), "/linux/resources/unified", ""},
	{"unified that kills", resourcesOf(`"unified":{"cgroup.kill":"1"}`), "/linux/resources/unified", ""},
	{"unified that makes threaded", resourcesOf(`"unified":{"cgroup.type":"threaded"}`), "/linux/resources/unified", ""},
}

// Limits are refused by other code on cgroup v1 than on v2; the hybrid view has nothing of its own here.
func TestLimits(t *testing.T) {
	harness.NeedRoot(t)
	for _, v := range harness.Views() {
		if v == harness.Hybrid {
			continue
		}
		for _, tc := range limits {
			t.Run(string(v)+"/"+tc.name, func(t *testing.T) {
				newPlaceIn(t, v).refuse(tc)
			})
		}
	}
}

// No limit moves a process that is not the container's.
func TestLimitThatMovesOthers(t *testing.T) {
	harness.NeedRoot(t)
	for _, v := range harness.Views() {
		t.Run(string(v), func(t *testing.T) {
			p := newPlaceIn(t, v)
			other, end := p.bystander()
			before := p.ProcFile(other.PID(), "cgroup")
			c := p.Container(harness.Args("true"))
			for _, file := range []string{"cgroup.procs", "cgroup.threads"} {
				c.WriteConfig(patched(t, config(t, c), resourcesOf(fmt.Sprintf(`"unified":{%q:"%d"}`, file, other.PID()))))
				p.failed(c.Run(), "/linux/resources/unified")
			}
			if after := p.ProcFile(other.PID(), "cgroup"); after != before {
				t.Errorf("a process was moved:\n%s\n%s", before, after)
			}
			end()
			p.nothingLeft()
		})
	}
}

// A cgroup that somebody uses is not shared, and what happens to the second container is not done to the first.
func TestCgroupInUse(t *testing.T) {
	harness.NeedRoot(t)
	for _, v := range harness.Views() {
		t.Run(string(v), func(t *testing.T) {
			p := newPlaceIn(t, v)
			first := p.Container()
			first.RunDetached().OK(p.Env)
			pid := first.PID()
			second := p.Container(func(s *specs.Spec) { s.Linux.CgroupsPath = first.Spec.Linux.CgroupsPath })
			p.failed(second.Run(), "/linux/cgroupsPath", "not empty")
			p.failed(second.Create(), "/linux/cgroupsPath", "not empty")
			second.Delete("--force").OK(p.Env)
			p.failed(second.Kill("KILL"), "does not exist")
			if s := first.State(); s.Status != "running" || s.PID != pid || !harness.Alive(pid) {
				t.Errorf("the first container: %+v", s)
			}
			if _, err := os.Stat(p.Root + "/" + second.ID); err == nil {
				t.Error("the second container has a state directory")
			}
			first.Delete("--force").OK(p.Env)
			p.nothingLeft()
		})
	}
}
