package docker

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// What stands in for systemd: the daemon is ended and started again, with what machines like this need.
const systemctl = `#!/bin/bash
[ "$*" = "restart docker" ] || exit 1
if [ -e /run/docker.pid ]; then
	kill "$(cat /run/docker.pid)"
	while [ -e /run/docker.pid ]; do sleep 0.1; done
fi
PROGRAM --cgroup-parent CGROUP --default-ulimit nofile=20000:20000 --bip 172.30.0.1/24 >>DIR/log 2>&1 &
for _ in {1..200}; do
	! docker version >/dev/null 2>&1 || break
	sleep 0.1
done
[ -n "$(docker images -q busybox)" ] || {
	docker load -i DIR/busybox.tar
	docker tag IMAGE busybox
} >/dev/null
`

// TestGuide runs the commands of docs/docker.md, with Docker's own directories: the sandbox has its own.
func TestGuide(t *testing.T) {
	v := newest(t)
	engine.Need(t, v.dockerd)
	engine.Need(t, client)
	dir := t.TempDir()
	engine.BusyboxImage(t, dir)
	text := strings.NewReplacer("PROGRAM", v.dockerd, "CGROUP", engine.Cgroup(), "DIR", dir, "IMAGE", image).Replace(systemctl)
	engine.Must(t, os.Mkdir(dir+"/programs", 0o755))
	engine.Must(t, os.WriteFile(dir+"/programs/systemctl", []byte(text), 0o755))
	engine.Must(t, os.Symlink(client, dir+"/programs/docker"))
	engine.Must(t, os.Symlink(engine.Bin(t), dir+"/bin"))
	// The machine's own programs are not to be replaced.
	for _, place := range []string{"/usr/local/sbin", "/usr/local/bin"} {
		engine.Must(t, syscall.Mount("tmpfs", place, "tmpfs", 0, "mode=755"))
	}
	engine.Must(t, os.MkdirAll("/etc/docker", 0o755))
	path, _ := strings.CutPrefix(v.env[0], "PATH=")
	env := append([]string{"PATH=" + dir + "/programs:/usr/local/sbin:/usr/local/bin:" + path, "HOME=" + dir}, v.env[1:]...)
	t.Cleanup(func() {
		if b, err := os.ReadFile("/run/docker.pid"); err == nil {
			_ = exec.Command("kill", string(b)).Run()
		}
		if log, err := os.ReadFile(dir + "/log"); err == nil && t.Failed() {
			t.Logf("%s", log)
		}
	})
	engine.Guide(t, os.Getenv("BAILEY_DOCS")+"/docker.md", dir, env, nil)
}
