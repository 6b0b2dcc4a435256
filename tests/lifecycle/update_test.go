package lifecycle

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// limitUpdate is a change of limits and where the kernel has to show it.
type limitUpdate struct {
	// controller that the machine has to have.
	controller string
	// flags of update; resources, if not empty, is given as JSON instead.
	flags     string
	resources string
	// v1 and v2 are the files and their contents afterwards, "" for whatever it may be. A machine that lacks one of them skips the update.
	v1, v2 map[string]string
}

func limitUpdates() []limitUpdate {
	list := []limitUpdate{
		{"memory", "--memory 64m --memory-reservation 33554432", "",
			map[string]string{"memory/memory.limit_in_bytes": "67108864", "memory/memory.soft_limit_in_bytes": "33554432"},
			map[string]string{"memory.max": "67108864", "memory.low": "33554432"}},
		{"memory", "--memory 48m --memory-swap 96m", "",
			map[string]string{"memory/memory.limit_in_bytes": "50331648", "memory/memory.memsw.limit_in_bytes": "100663296"},
			map[string]string{"memory.max": "50331648", "memory.swap.max": "50331648"}},
		{"memory", "--memory -1 --memory-swap -1", "",
			map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712", "memory/memory.memsw.limit_in_bytes": "9223372036854771712"},
			map[string]string{"memory.max": "max", "memory.swap.max": "max"}},
		{"memory", "", `{"memory":{"limit":134217728,"swappiness":40}}`,
			map[string]string{"memory/memory.limit_in_bytes": "134217728", "memory/memory.swappiness": "40"}, nil},
		{"memory", "", `{"memory":{"limit":134217728,"checkBeforeUpdate":true}}`,
			map[string]string{"memory/memory.limit_in_bytes": "134217728"}, map[string]string{"memory.max": "134217728"}},
		{"memory", "", `{"memory":{"disableOOMKiller":true}}`, map[string]string{"memory/memory.oom_control": "oom_kill_disable 1"}, nil},
		{"memory", "", `{"unified":{"memory.high":"100663296"}}`, nil, map[string]string{"memory.high": "100663296"}},
		{"cpu", "--cpu-period 50000 --cpu-quota 25000", "",
			map[string]string{"cpu/cpu.cfs_period_us": "50000", "cpu/cpu.cfs_quota_us": "25000"}, map[string]string{"cpu.max": "25000 50000"}},
		{"cpu", "--cpu-burst 10000", "", map[string]string{"cpu/cpu.cfs_burst_us": "10000"}, map[string]string{"cpu.max.burst": "10000"}},
		{"cpu", "--cpu-burst 0 --cpu-quota -1", "", map[string]string{"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_burst_us": "0"},
			map[string]string{"cpu.max": "max 50000", "cpu.max.burst": "0"}},
		{"cpu", "--cpu-share 300", "", map[string]string{"cpu/cpu.shares": "300"}, map[string]string{"cpu.weight": "39"}},
		{"cpu", "", `{"cpu":{"shares":400}}`, map[string]string{"cpu/cpu.shares": "400"}, map[string]string{"cpu.weight": "49"}},
		{"cpu", "--cpu-rt-period 900000", "", map[string]string{"cpu/cpu.rt_period_us": "900000"}, nil},
		// The kernel then has the lowest weight of all in force.
		{"cpu", "--cpu-idle 1", "", map[string]string{"cpu/cpu.idle": "1", "cpu/cpu.shares": "3"}, map[string]string{"cpu.idle": "1", "cpu.weight": ""}},
		{"cpuset", "--cpuset-cpus 0 --cpuset-mems 0", "", map[string]string{"cpuset/cpuset.cpus": "0", "cpuset/cpuset.mems": "0"},
			map[string]string{"cpuset.cpus": "0", "cpuset.mems": "0"}},
		{"pids", "--pids-limit 77", "", map[string]string{"pids/pids.max": "77"}, map[string]string{"pids.max": "77"}},
		{"pids", "", `{"pids":{"limit":-1}}`, map[string]string{"pids/pids.max": "max"}, map[string]string{"pids.max": "max"}},
		{"hugetlb", "", `{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}`,
			map[string]string{"hugetlb/hugetlb.2MB.limit_in_bytes": "4194304", "hugetlb/hugetlb.2MB.rsvd.limit_in_bytes": "4194304"},
			map[string]string{"hugetlb.2MB.max": "4194304", "hugetlb.2MB.rsvd.max": "4194304"}},
		{"net_cls", "", `{"network":{"classID":1048577}}`, map[string]string{"net_cls/net_cls.classid": "1048577"}, nil},
		{"net_prio", "", `{"network":{"priorities":[{"name":"lo","priority":7}]}}`, map[string]string{"net_prio/net_prio.ifpriomap": "lo 7"}, nil},
		{"blkio", "--blkio-weight 300", "", map[string]string{"blkio/blkio.bfq.weight": "300"}, nil},
		{"io", "--blkio-weight 300", "", nil, map[string]string{"io.bfq.weight": "default 300"}},
	}
	if device := blockDevice(); device != "" {
		major, minor, _ := strings.Cut(device, ":")
		throttle := fmt.Sprintf(`[{"major":%s,"minor":%s,"rate":1048576}]`, major, minor)
		list = append(list,
			limitUpdate{"blkio", "", `{"blockIO":{"throttleReadBpsDevice":` + throttle + `,"throttleWriteIOPSDevice":` + throttle + `}}`,
				map[string]string{"blkio/blkio.throttle.read_bps_device": device + " 1048576", "blkio/blkio.throttle.write_iops_device": device + " 1048576"}, nil},
			limitUpdate{"io", "", `{"blockIO":{"throttleReadBpsDevice":` + throttle + `,"throttleWriteIOPSDevice":` + throttle + `}}`,
				nil, map[string]string{"io.max": device + " rbps=1048576 wbps=max riops=max wiops=1048576"}})
	}
	return list
}

// blockDevice returns the numbers of a disk of the machine's, "" if it has none.
func blockDevice() string {
	disks, _ := filepath.Glob("/sys/block/*/device/../dev")
	for _, dev := range disks {
		if b, err := os.ReadFile(dev); err == nil {
			return string(bytes.TrimSpace(b))
		}
	}
	return ""
}

// Each limit that a container can have is changed while it runs, and the kernel shows the new one; what was set before
// stays. What a machine has no file for is named.
func TestUpdateOfEveryResource(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		c := e.Container()
		c.RunDetached().OK(e)
		value := func(file string) (string, error) {
			controller, name, v1 := strings.Cut(file, "/")
			if !v1 {
				controller, name = "", file
			}
			b, err := os.ReadFile(c.CgroupDir(controller) + "/" + name)
			return strings.TrimSpace(string(b)), err
		}
		updated := 0
		var without []string
		in := make(map[string]string) // what has been set and not changed since
		for _, u := range limitUpdates() {
			want, what := u.v1, u.flags+u.resources
			if e.View == harness.V2 {
				want = u.v2
			}
			if want == nil {
				continue // the other version's
			}
			missing := !e.HasController(u.controller)
			for file := range want {
				_, err := value(file)
				missing = missing || err != nil
			}
			if missing {
				without = append(without, what)
				continue
			}
			args := append(append([]string{"update"}, strings.Fields(u.flags)...), c.ID)
			if u.resources != "" {
				args = []string{"update", "--resources", e.WriteFile("resources.json", u.resources, 0o600), c.ID}
			}
			e.Bailey(args...).OK(e)
			updated++
			for file, v := range want {
				in[file] = v
			}
			for file, v := range in {
				// The period of no quota is not what systemd keeps.
				if v == "" || e.Systemd && want[file] == "" && strings.HasPrefix(v, "max ") {
					continue
				}
				got, err := value(file)
				if !strings.Contains("\n"+got+"\n", "\n"+v+"\n") {
					t.Errorf("after %s: %s is %q, want %q (%v)", what, file, got, v, err)
				}
			}
		}
		t.Logf("%d updates; not here: %q", updated, without)
		if e.View != harness.V2 && updated < 12 {
			t.Errorf("only %d updates: %q are not to be had", updated, without)
		}
	})
}
