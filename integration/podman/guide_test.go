package podman

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// Every command of the guide prints what the guide says.
func TestGuide(t *testing.T) {
	m := prepare(t)
	for _, program := range []string{"podman", "buildah", "usermod"} {
		engine.Need(t, program)
	}
	if !wherePods.is(false) {
		t.Skip("pods of root's do not run here")
	}
	if os.Getenv("BAILEY_CRIU") == "" {
		t.Skip("no CRIU for this kernel: make test-engines")
	}
	must := func(err error) { engine.Must(t, err) }
	// The files and programs of the guide's machine.
	engine.OwnLocal(t)
	program, err := os.ReadFile(engine.Bin(t) + "/bailey")
	must(err)
	must(os.WriteFile("/usr/local/sbin/bailey", program, 0o755))
	must(os.MkdirAll("/etc/containers/containers.conf.d", 0o755))
	// This kind of machine: no CAP_SYS_RESOURCE, and few controllers of cgroup v2.
	must(os.WriteFile("/etc/containers/containers.conf.d/00-machine.conf", []byte(
		"[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\npids_limit = 0\nlog_driver = \"k8s-file\"\n[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n"), 0o644))
	must(os.WriteFile("/etc/containers/storage.conf", []byte("[storage]\ndriver = \"overlay\"\ngraphroot = \"/var/lib/containers/storage\"\nrunroot = \"/run/containers/storage\"\n"), 0o644))
	must(os.MkdirAll(aliceHome+"/.config/containers", 0o755))
	must(os.WriteFile(aliceHome+"/.config/containers/storage.conf", []byte("[storage]\ndriver = \"overlay\"\n"), 0o644))
	must(exec.Command("chown", "-R", fmt.Sprint(alice), aliceHome).Run())

	// Of Podman's own settings the guide writes what it needs.
	user := &podman{machine: m, rootless: true}
	user.delegate(t)
	asAlice := func(cmd *exec.Cmd) {
		user.asUser(t, cmd)
		cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, "CONTAINERS_") || strings.HasPrefix(v, "HOME=/root") })
		cmd.Dir = aliceHome
	}
	for _, asUser := range []func(*exec.Cmd){func(*exec.Cmd) {}, asAlice} {
		cmd := exec.Command("/bin/sh", "-ec", "podman rmi -f -a; podman load -q -i "+m.busybox+"; podman tag "+image+" docker.io/library/busybox")
		cmd.Env = os.Environ()
		asUser(cmd)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	dir := t.TempDir()
	engine.Guide(t, "podman.md", dir, []string{"HOME=/root", "PATH=" + os.Getenv("BAILEY_CRIU") + "/bin:" + path}, asAlice)
	m.removeTops()
}
