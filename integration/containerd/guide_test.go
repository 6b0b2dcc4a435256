package containerd

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// systemctl is a stand-in for systemd's, which starts and stops Debian's containerd.
const systemctl = `#!/bin/sh
[ "$2" = containerd ] || exit 1
if [ "$1" != start ] && [ -e /run/containerd.pid ]; then
	pid=$(cat /run/containerd.pid)
	rm /run/containerd.pid
	kill $pid
	while [ -s /proc/$pid/cmdline ]; do sleep 0.05; done # which it has not when it waits to be waited for
fi
if [ "$1" != stop ]; then
	cd /
	setsid /usr/bin/containerd >>/run/containerd.log 2>&1 </dev/null &
	echo $! >/run/containerd.pid
	until ctr version >/dev/null 2>&1; do sleep 0.05; done
fi
`

// TestGuide runs the commands of docs/containerd.md with Debian's containerd.
func TestGuide(t *testing.T) {
	bin := engine.Bin(t)
	if engine.View() != "v1" || !engine.Exists("/usr/bin/containerd") {
		t.Skip("with Debian's containerd on cgroup v1 alone: its ctr always asks for CPU shares")
	}
	dir := t.TempDir()
	for _, name := range []string{"bailey", "containerd-shim-bailey-v2"} {
		if out, err := exec.Command("cp", bin+"/"+name, dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	must(t, os.Rename(engine.BusyboxImage(t, dir), dir+"/busybox.tar"))
	// The sandbox's own, as the machine's /etc is.
	must(t, syscall.Mount("tmpfs", "/usr/local", "tmpfs", 0, ""))
	defer func() { must(t, syscall.Unmount("/usr/local", syscall.MNT_DETACH)) }()
	must(t, os.MkdirAll("/usr/local/sbin", 0o755))
	must(t, os.MkdirAll("/usr/local/bin", 0o755))
	must(t, os.WriteFile("/usr/local/bin/systemctl", []byte(systemctl), 0o755))
	must(t, os.MkdirAll("/etc/containerd", 0o755))
	// ctr makes cgroups after the namespace, and the sandbox's are to be below its own. Who reads the guide has "default".
	tag := os.Getenv("SANDBOX_TAG")
	must(t, os.MkdirAll("/run/containerd/bailey", 0o711))
	must(t, os.Symlink(tag, "/run/containerd/bailey/default"))
	defer func() { _ = exec.Command("/usr/local/bin/systemctl", "stop", "containerd").Run() }()
	defer os.RemoveAll("/etc/bailey")
	engine.Guide(t, os.Getenv("BAILEY_DOCS")+"/containerd.md", dir, []string{"CONTAINERD_NAMESPACE=" + tag, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, nil)
	if t.Failed() {
		log, _ := os.ReadFile("/run/containerd.log")
		t.Logf("%s", log[max(0, len(log)-3000):])
	}
}
