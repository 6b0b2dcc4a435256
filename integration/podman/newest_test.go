package podman

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// What is checked with a newer Podman, that of Debian 13, by the names of the checks.
var newest = []string{
	"exit status", "init", "default capabilities", "default filter", "a device", "sysctls", "an image as a mount", "of systemd", "memory",
	"out of memory", "mapped by hand", "auto with a size", "programs that cannot be run", "terminal", "logs", "update", "pause", "stop", "exec",
	"IDs of its own", "volumes", "pod", "pod with one list of processes and IDs of its own", "checkpoint",
}

// newMachine makes a machine of Debian 13 that shares /run, /tmp and what the kernel shows with this one, and returns a command
// that starts another there. A chroot would not do: no user namespace can be made in one, and no root be pivoted.
func newMachine(t *testing.T) []string {
	t.Helper()
	archive := engine.Built(t) + "/podman.tar"
	if !engine.Exists(archive) {
		t.Skip("no newer Podman: make test-engines")
	}
	must := func(err error) { t.Helper(); engine.Must(t, err) }
	root := "/run/newest"
	must(os.Mkdir(root, 0o755))
	must(unix.Mount("tmpfs", root, "tmpfs", 0, "mode=755"))
	if out, err := exec.Command("tar", "-C", root, "-xf", archive, "--exclude=./dev/*").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, file := range []string{"subuid", "subgid"} {
		must(os.WriteFile(root+"/etc/"+file, fmt.Appendf(nil, "containers:%d:%d\n", autoIDs, autoCount), 0o644))
	}
	script := `cd "$1"; for d in proc sys dev run tmp; do mount --rbind /$d $d; done; mount -t tmpfs tmpfs dev/shm
		mkdir old && pivot_root . old && umount -l old && cd / && exec sleep infinity`
	holder := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", root)
	holder.Stderr = os.Stderr
	must(holder.Start())
	t.Cleanup(func() {
		_ = holder.Process.Kill()
		_ = holder.Wait()
		_ = unix.Unmount(root, unix.MNT_DETACH)
		_ = os.Remove(root)
	})
	engine.Eventually(t, "the machine is there", func() error {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", holder.Process.Pid))
		if err != nil {
			return err
		}
		return engine.Contains(string(b), "sleep\x00infinity")
	})
	return []string{"nsenter", fmt.Sprintf("--mount=/proc/%d/ns/mnt", holder.Process.Pid), "env", "PODMAN_IGNORE_CGROUPSV1_WARNING=1"}
}

func TestNewest(t *testing.T) {
	prepare(t)
	if engine.View() != "v1" {
		t.Skip("limits and pods take cgroup v1 here")
	}
	inside := newMachine(t)
	checks := slices.DeleteFunc(all(false), func(c check) bool { return !slices.Contains(newest, c.Name) })
	engine.Run(t, "Podman of Debian 13", engine.Runtimes(t), func(t *testing.T, r engine.Runtime) *podman {
		p := &podman{machine: prepare(t), runtime: r, home: here.dir + "/newest", inside: inside}
		p.setUp(t)
		if version := p.ok(t, "--version"); !strings.Contains(version, "version 5.") {
			t.Fatal(version)
		}
		return p
	}, left, checks)
}
