package cri

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	node "k8s.io/api/node/v1"
	"sigs.k8s.io/yaml"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// start starts the daemon that the configuration is for, with what this machine needs beside: cgroups without systemd, and
// oom_score_adj only as it is.
const start = `
program=BUILT/containerd plugin=io.containerd.cri.v1.runtime
if grep -qx 'version = 2' /etc/containerd/config.toml; then
	program=/usr/bin/containerd plugin=io.containerd.grpc.v1.cri
fi
{ sed 's/SystemdCgroup = true/SystemdCgroup = false/' /etc/containerd/config.toml
  printf '[plugins."%s"]\nrestrict_oom_score_adj = true\ndisable_hugetlb_controller = true\n' $plugin; } >DIR/config.toml
[ $program != /usr/bin/containerd ] || echo 'sandbox_image = "PAUSE"' >>DIR/config.toml
for c in /sys/fs/cgroup/*/; do echo $$ >$c/$SANDBOX_TAG/cgroup.procs; done
daemon $program -c DIR/config.toml --root DIR/root-$plugin
crictl() { timeout 3 BUILT/crictl -r unix:///run/containerd/containerd.sock "$@" 2>/dev/null; }
until BUILT/ctr version >/dev/null 2>&1; do sleep 0.05; done
for i in DIR/*.tar; do BUILT/ctr -n k8s.io images import $i >/dev/null 2>&1 || /usr/bin/ctr -n k8s.io images import $i >/dev/null; done
for i in $(seq 60); do
	[ "$(crictl info -o go-template --template '{{range .status.conditions}}{{.type}}={{.status}} {{end}}' | grep -o '\(Runtime\|Network\)Ready=true' | wc -l)" != 2 ] || exit 0
	sleep 0.1
done
crictl info
exit 1
`

// TestGuide runs the commands of docs/kubernetes.md.
func TestGuide(t *testing.T) {
	newest(t)
	engine.Need(t, "containerd")
	dir := t.TempDir()
	t.Cleanup(func() { removeCgroups(t) })
	engine.Systemctl(t, "containerd", strings.NewReplacer("DIR", dir, "BUILT", engine.Built(t), "PAUSE", pauseImage).Replace(start))
	engine.Must(t, os.MkdirAll("/etc/cni/net.d", 0o755))
	engine.Must(t, os.MkdirAll("/etc/containerd", 0o755))
	engine.Must(t, os.WriteFile("/etc/cni/net.d/10-pods.conflist", []byte(network), 0o644))
	engine.Must(t, os.Symlink(engine.Bin(t), dir+"/bin"))
	engine.BusyboxImageWith(t, dir+"/busybox.tar", "docker.io/library/busybox:latest", extras(t), nil)
	engine.BusyboxImageWith(t, dir+"/pause.tar", pauseImage, nil, map[string]any{"Cmd": idle})
	engine.BusyboxImageWith(t, dir+"/pause2.tar", "registry.k8s.io/pause:3.10.2", nil, map[string]any{"Cmd": idle})
	for _, d := range []string{"cpuset", "cpu", "cpuacct", "memory", "devices", "freezer", "blkio", "pids", "systemd"} {
		engine.Must(t, os.MkdirAll("/sys/fs/cgroup/"+d+engine.Cgroup(), 0o755))
	}
	for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
		all, err := os.ReadFile("/sys/fs/cgroup/cpuset/" + f)
		engine.Must(t, err)
		engine.Must(t, os.WriteFile("/sys/fs/cgroup/cpuset"+engine.Cgroup(f), all, 0o644))
	}
	engine.Guide(t, "kubernetes.md", dir, []string{"PATH=/usr/local/bin:" + engine.Built(t) + ":" + os.Getenv("PATH")},
		func(*exec.Cmd) { t.Fatal("everything here is root's") })
}

// TestManifests reads the manifests of docs/kubernetes.md as a cluster would, which takes no unknown field.
func TestManifests(t *testing.T) {
	engine.Built(t)
	page, err := os.ReadFile(os.Getenv("BAILEY_DOCS") + "/kubernetes.md")
	engine.Must(t, err)
	found := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1) {
		var kind struct{ Kind string }
		engine.Must(t, yaml.Unmarshal(m[1], &kind))
		found[kind.Kind] = true
		switch kind.Kind {
		case "RuntimeClass":
			var class node.RuntimeClass
			engine.Must(t, yaml.UnmarshalStrict(m[1], &class))
			if class.Handler != shimClass || class.Overhead.PodFixed.Memory().Value() != 16<<20 {
				t.Errorf("%+v", class)
			}
		case "Pod":
			var pod core.Pod
			engine.Must(t, yaml.UnmarshalStrict(m[1], &pod))
			if *pod.Spec.RuntimeClassName != shimClass || *pod.Spec.HostUsers {
				t.Errorf("%+v", pod.Spec)
			}
		default:
			t.Errorf("a manifest of a %q", kind.Kind)
		}
	}
	if !found["RuntimeClass"] || !found["Pod"] {
		t.Errorf("there are manifests of %v", found)
	}
}
