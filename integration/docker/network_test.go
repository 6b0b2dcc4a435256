package docker

import (
	"fmt"
	"os"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// debian loads the image of Debian.
func (d *daemon) debian(t testing.TB) {
	t.Helper()
	if _, status := d.try("image", "inspect", engine.Debian); status != 0 {
		d.docker(t, "load", "-i", engine.DebianImage(t, t.TempDir()))
	}
}

// fetch is a script of bash that prints what a web server answers: busybox's wget needs the C library's name service.
const fetch = `exec 3<>/dev/tcp/%s/80; printf 'GET / HTTP/1.0\r\n\r\n' >&3; cat <&3`

var networkChecks = []check{
	{Name: "no network", Do: func(c *engine.C, d *daemon) {
		want(c, "devices", d.run(c, image, "ls", "/sys/class/net"), "lo")
		has(c, "lo is up", d.run(c, image, "ping", "-c", "1", "127.0.0.1"), "1 packets received")
	}},
	{Name: "host network", Do: func(c *engine.C, d *daemon) {
		want(c, "namespace", d.docker(c, "run", "--rm", "--network=host", image, "readlink", "/proc/self/ns/net"), namespaceOf(c, "self", "net"))
	}},
	{Name: "files of the network", Do: func(c *engine.C, d *daemon) {
		out := d.docker(c, "run", "--rm", "--add-host=other:10.0.0.1", "--dns=10.0.0.2", "--hostname=me", image, "cat", "/etc/hosts", "/etc/resolv.conf", "/etc/hostname")
		has(c, "files", out, "10.0.0.1", "other", "nameserver 10.0.0.2", "me")
	}},
	{Name: "bridge and published port", Do: func(c *engine.C, d *daemon) {
		d.debian(c)
		d.docker(c, "network", "create", "--subnet=172.31.0.0/24", "own")
		d.docker(c, "run", "-d", "--name=web", "--network=own", "--publish=127.0.0.1:8080:80", image, "sh", "-c", "echo served > /index.html; exec httpd -f -h /")
		engine.Serves(c, "http://127.0.0.1:8080/", "served")
		engine.Eventually(c, "another container reaches it by its name", func() error {
			out, _ := d.try("run", "--rm", "--network=own", engine.Debian, "bash", "-c", fmt.Sprintf(fetch, "web"))
			return engine.Contains(out, "served")
		})
		has(c, "in its network", d.docker(c, "run", "--rm", "--network=container:web", engine.Debian, "bash", "-c", fmt.Sprintf(fetch, "127.0.0.1")), "served")
		d.docker(c, "network", "create", "--subnet=172.31.1.0/24", "later")
		d.docker(c, "network", "connect", "later", "web")
		want(c, "devices", d.exec(c, "web", "ls", "/sys/class/net"), "eth0\neth1\nlo")
		d.docker(c, "network", "disconnect", "later", "web")
		d.down(c, "web")
		d.docker(c, "network", "rm", "own", "later")
	}},
	{Name: "nginx", Do: func(c *engine.C, d *daemon) {
		d.debian(c)
		dir := c.TempDir()
		engine.Must(c, os.Chmod(dir, 0o755))
		engine.Must(c, os.WriteFile(dir+"/index.html", []byte("from a file\n"), 0o644))
		d.docker(c, "run", "-d", "--name=nginx", "-p", "8081:80", "-v", dir+":/var/www/html:ro", "--stop-signal=QUIT", engine.Debian, "nginx", "-g", "daemon off;")
		engine.Serves(c, "http://127.0.0.1:8081/", "from a file")
		d.exec(c, "nginx", "nginx", "-s", "reload")
		engine.Serves(c, "http://127.0.0.1:8081/index.html", "from a file")
		for range 200 {
			if _, err := engine.Get("http://127.0.0.1:8081/"); err != nil {
				c.Fatal(err)
			}
		}
		has(c, "top", d.docker(c, "top", "nginx"), "worker process")
		d.docker(c, "stop", "nginx")
		want(c, "a graceful end", d.inspect(c, "nginx", ".State.ExitCode"), "0")
		d.down(c, "nginx")
	}},
	{Name: "redis keeps its data", Do: func(c *engine.C, d *daemon) {
		d.debian(c)
		d.docker(c, "run", "-d", "--name=redis", "-p", "127.0.0.1:6380:6379", "-v", "redis:/data", "--user=nobody", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges",
			"-w=/tmp", "--tmpfs=/tmp", engine.Debian, "redis-server", "--protected-mode", "no", "--save", "")
		const address = "127.0.0.1:6380"
		engine.RedisAnswers(c, address, "PING", "PONG")
		engine.RedisAnswers(c, address, "SET key value", "OK")
		d.docker(c, "pause", "redis")
		if got, err := engine.Redis(address, "GET key"); err == nil {
			c.Errorf("a paused server answers %q", got)
		}
		d.docker(c, "unpause", "redis")
		engine.RedisAnswers(c, address, "GET key", "value")
		d.down(c, "redis")
		d.docker(c, "volume", "rm", "redis")

		// As root, which gives itself up to nobody else, with a file that outlives it.
		d.docker(c, "run", "-d", "--name=redis", "-p", "127.0.0.1:6380:6379", "-v", "redis:/data", "-w=/data", engine.Debian, "redis-server", "--protected-mode", "no", "--appendonly", "yes")
		engine.RedisAnswers(c, address, "PING", "PONG")
		for i := range 100 {
			engine.RedisAnswers(c, address, fmt.Sprintf("SET key%d value%d", i, i), "OK")
		}
		d.docker(c, "restart", "redis")
		engine.RedisAnswers(c, address, "GET key99", "value99")
		d.docker(c, "kill", "redis")
		d.docker(c, "start", "redis")
		engine.RedisAnswers(c, address, "GET key50", "value50")
		has(c, "a client in it", d.exec(c, "redis", "redis-cli", "DBSIZE"), "100")
		d.down(c, "redis")
		d.docker(c, "volume", "rm", "redis")
	}},
}
