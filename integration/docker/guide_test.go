package docker

import (
	"os"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// start starts the daemon with what machines like this need.
const start = `
daemon PROGRAM --cgroup-parent CGROUP --default-ulimit nofile=20000:20000 --bip 172.30.0.1/24
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
	engine.Systemctl(t, "docker", strings.NewReplacer("PROGRAM", v.dockerd, "CGROUP", engine.Cgroup(), "DIR", dir, "IMAGE", image).Replace(start))
	engine.Must(t, os.Symlink(client, "/usr/local/bin/docker"))
	engine.Must(t, os.Symlink(engine.Bin(t), dir+"/bin"))
	engine.Must(t, os.MkdirAll("/etc/docker", 0o755))
	path, _ := strings.CutPrefix(v.env[0], "PATH=")
	env := append([]string{"PATH=/usr/local/sbin:/usr/local/bin:" + path, "HOME=" + dir}, v.env[1:]...)
	engine.Guide(t, "docker.md", dir, env, nil)
}
