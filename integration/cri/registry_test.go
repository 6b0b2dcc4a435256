package cri

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

const (
	registryAddress = "127.0.0.1:5000"
	pauseImage      = "registry.k8s.io/pause:3.9"
)

// idle is what a pause container does: it waits for its end, which a first process has to ask for.
var idle = []string{"/bin/sh", "-c", "trap 'exit 0' TERM INT; while :; do tail -f /dev/null & wait $!; done"}

// web is what serves a page at a port as nginx does: with a process of that name, and the file that tells its ID.
func web(name, port string) []string {
	return []string{"/usr/sbin/nginx", "master process", name, port}
}

const webServer = `#!/bin/busybox sh
mkdir -p /tmp/www /var/run
echo $$ >/var/run/nginx.pid
echo welcome >/tmp/www/index.html
echo "$2"
httpd -p "$3" -h /tmp/www
trap 'exit 0' TERM QUIT
while :; do tail -f /dev/null & wait $!; done
`

// users are the accounts that images have.
const users = `root::0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/bin/sh
default-user:x:1000:1000:default-user:/home:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/sh
`

const userGroups = `root:x:0:
www-data:x:33:
default-user:x:1000:
group-defined-in-image:x:50000:default-user
nogroup:x:65534:
`

// image is one that is made here, with busybox and something of its own.
type image struct {
	name   string
	config map[string]any
}

// criImages are the images that critest asks for, by what it knows of them. There is none whose digest it knows.
func criImages() []image {
	list := []image{
		{"pause:3.9", map[string]any{"Cmd": idle}},
		{"e2e-test-images/busybox:1.29-2", nil},
		{"e2e-test-images/nginx:1.14-2", map[string]any{"Cmd": web("nginx", "80")}},
		{"e2e-test-images/httpd:2.4.39-4", map[string]any{"Cmd": web("httpd", "80")}},
		{"e2e-test-images/nonewprivs:1.3", map[string]any{"Cmd": []string{"/bin/sh", "-c", effectiveUID}}},
		{"k8s-staging-cri-tools/hostnet-nginx-amd64:latest", map[string]any{"Cmd": web("nginx", "12003")}},
	}
	for name, user := range map[string]string{
		"image-user-uid": "1002", "image-user-username": "www-data", "image-user-uid-group": "1003:1004",
		"image-user-username-group": "www-data:www-data", "image-predefined-group": "1000",
	} {
		list = append(list, image{"k8s-staging-cri-tools/test-" + name + ":latest", map[string]any{"User": user}})
	}
	for _, name := range []string{"latest:latest", "tag:test", "tag:all", "1:latest", "2:latest", "3:latest", "tags:1", "tags:2", "tags:3"} {
		// The tags are of one image, all others differ.
		label := strings.TrimRight(name, "123")
		if label != "tags:" {
			label = name
		}
		list = append(list, image{"k8s-staging-cri-tools/test-image-" + name, map[string]any{"Labels": map[string]string{"test": label}}})
	}
	return list
}

// startRegistry has Debian's registry serve the images until the end of the test.
func startRegistry(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	config, err := json.Marshal(map[string]any{
		"version": 0.1, "http": map[string]any{"addr": registryAddress},
		"storage": map[string]any{"filesystem": map[string]any{"rootdirectory": dir + "/data"}}, "log": map[string]any{"level": "error"},
	})
	engine.Must(t, err)
	engine.Must(t, os.WriteFile(dir+"/config.yml", config, 0o600))
	log, err := os.Create(dir + "/log")
	engine.Must(t, err)
	defer log.Close()
	cmd := exec.Command(engine.Need(t, "docker-registry"), "serve", dir+"/config.yml")
	cmd.Stdout, cmd.Stderr = log, log
	engine.Must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	engine.Eventually(t, "the registry answers", func() error {
		conn, err := net.DialTimeout("tcp", registryAddress, time.Second)
		if err == nil {
			conn.Close()
		}
		return err
	})
	skopeo, files := engine.Need(t, "skopeo"), extras(t)
	for _, i := range criImages() {
		archive := engine.BusyboxImageWith(t, dir+"/image.tar", "localhost/"+i.name, files, i.config)
		out, err := exec.Command(skopeo, "copy", "--insecure-policy", "--dest-tls-verify=false", "docker-archive:"+archive, "docker://"+registryAddress+"/"+i.name).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", i.name, err, out)
		}
	}
}

// effectiveUID tells the user of a program that is set-user-ID root.
const effectiveUID = `tell='echo "Effective uid: $(id -u)"'; /suid/su -c "$tell" root 2>/dev/null || eval "$tell"`

// extras are what the images have beside busybox: accounts, a program that is set-user-ID root, and what Debian's busybox lacks.
func extras(t *testing.T) map[string]engine.File {
	busybox, err := os.ReadFile(engine.Need(t, "busybox"))
	engine.Must(t, err)
	return map[string]engine.File{
		"etc/passwd": {Mode: 0o644, Content: users}, "etc/group": {Mode: 0o644, Content: userGroups},
		"suid/su":        {Mode: 0o4755, Content: string(busybox)},
		"usr/sbin/nginx": {Mode: 0o755, Content: webServer},
		"bin/ipcs":       {Mode: 0o755, Content: "#!/bin/busybox sh\nexec cat /proc/sysvipc/shm\n"},
		"bin/pgrep":      {Mode: 0o755, Content: "#!/bin/busybox sh\nfor p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" != \"$1\" ] || echo \"${p#/proc/}\"; done\n"},
	}
}
