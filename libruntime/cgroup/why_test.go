package cgroup

import (
	"strings"
	"testing"
)

func TestExplainChain(t *testing.T) {
	root := step{path: "/sys/fs/cgroup", available: []string{"cpu", "memory", "pids"}, enabled: []string{"cpu", "memory", "pids"}}
	slice := step{path: "/sys/fs/cgroup/user.slice", available: root.available, enabled: []string{"memory", "pids"}, owner: 0}
	busy := step{path: "/sys/fs/cgroup/a", available: root.available, processes: true}
	for name, tc := range map[string]struct {
		steps         []step
		controller    string
		v1, rootless  bool
		cause, remedy string
	}{
		"not delegated":       {[]step{root, slice}, "cpu", false, true, "the cpu controller is not enabled below /sys/fs/cgroup/user.slice (its cgroup.subtree_control: memory pids), a file that belongs to user 0", "Delegate="},
		"not enabled":         {[]step{root, slice}, "cpu", false, false, "not enabled below /sys/fs/cgroup/user.slice", "as root: echo +cpu > /sys/fs/cgroup/user.slice/cgroup.subtree_control"},
		"in use by processes": {[]step{root, busy}, "cpu", false, false, "there are processes", "without processes"},
		"in use by v1":        {[]step{root}, "rdma", true, false, "the root cgroup /sys/fs/cgroup has not the rdma controller (its cgroup.controllers: cpu memory pids); a cgroup v1 hierarchy has it", "unmount"},
		"not in the kernel":   {[]step{root}, "rdma", false, false, "the kernel is built or booted without it", "leave the limit out"},
		"nothing to be seen":  {[]step{root}, "cpu", false, false, "", ""},
	} {
		cause, remedy := explainChain(tc.steps, tc.controller, tc.v1, tc.rootless)
		if !strings.Contains(cause, tc.cause) || !strings.Contains(remedy, tc.remedy) || (tc.cause == "") != (cause == "") {
			t.Errorf("%s: %q, %q", name, cause, remedy)
		}
	}
}

func TestV1Hierarchy(t *testing.T) {
	const text = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t9\t1\nblkio\t5\t1\t1\npids\t0\t9\t1\n"
	for controller, want := range map[string]bool{"cpu": true, "io": true, "pids": false, "none": false} {
		if got := v1Hierarchy(text, controller); got != want {
			t.Errorf("%s: %v", controller, got)
		}
	}
}
