package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The test program runs itself again as an ordinary user with this variable set.
const helperEnv = "BAILEY_TEST_ROOTLESS"

func TestMain(m *testing.M) {
	if how := os.Getenv(helperEnv); how != "" {
		ordinaryUser(how)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// ordinaryUser creates a container's cgroups and prints what came of it.
func ordinaryUser(how string) {
	s := &specs.Spec{Linux: &specs.Linux{}}
	switch how {
	case "limit":
		s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(5))}}
	case "path":
		s.Linux.CgroupsPath = "/bailey-test-rootless"
	}
	m, err := New("bailey-test-rootless", s, Options{Rootless: true})
	if err == nil {
		err = m.Create()
	}
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	v2, v1, err := m.JoinFiles()
	pids, errPids := m.AllPids()
	fmt.Println("cgroups:", len(m.Paths()), v2 == nil, len(v1), err, len(pids), errPids, m.Kill(), m.Destroy())
}

// Without cgroups of its own an ordinary user's container can do; without a limit, or a path, that was
// asked for it cannot.
func TestRootlessWithoutDelegation(t *testing.T) {
	needRoot(t) // to become someone else
	for how, want := range map[string]string{
		"plain": "cgroups: 0 true 0 <nil> 0 <nil> <nil> <nil>",
		"limit": "error: set a limit (config.json /linux/resources/pids/limit): the pids controller is not available",
		"path":  "error: make the container's cgroup (config.json /linux/cgroupsPath)",
	} {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{helperEnv + "=" + how}
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", how, err, out)
		}
		if got := strings.TrimSpace(string(out)); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", how, got, want)
		}
	}
}
