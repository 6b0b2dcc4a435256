package containerd

import (
	"os"
	"os/exec"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// start starts Debian's containerd.
const start = `
cd /
daemon /usr/bin/containerd
until ctr version >/dev/null 2>&1; do sleep 0.05; done
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
	engine.Systemctl(t, "containerd", start)
	must(t, os.MkdirAll("/etc/containerd", 0o755))
	// ctr makes cgroups after the namespace, and the sandbox's are to be below its own. Who reads the guide has "default".
	tag := os.Getenv("SANDBOX_TAG")
	must(t, os.MkdirAll("/run/containerd/bailey", 0o711))
	must(t, os.Symlink(tag, "/run/containerd/bailey/default"))
	defer os.RemoveAll("/etc/bailey")
	engine.Guide(t, "containerd.md", dir, []string{"CONTAINERD_NAMESPACE=" + tag, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, nil)
}
