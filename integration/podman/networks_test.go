package podman

import (
	"strings"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// networks are servers that are no toys, which answer.
var networks = []steps{
	{name: "redis and nginx in a pod", where: wherePods, do: func(c *engine.C, p *podman) {
		p.needDebian(c)
		p.pod(c, "shop", "--network=none")
		p.member(c, "shop", "redis", debian, "redis-server", "--save", "", "--port", "6379")
		p.member(c, "shop", "nginx", debian, "nginx", "-g", "daemon off;")
		p.serve(c, "redis")
		p.ok(c, "exec", "redis", "redis-cli", "set", "key", "value")
		same(c, "the key", p.ok(c, "exec", "nginx", "redis-cli", "get", "key"), "value")
		// They share the loopback device, so that the one's server is the other's.
		engine.Eventually(c, "nginx answers", func() error {
			out, _ := p.status(c, "exec", "redis", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3")
			return engine.Contains(out, "Welcome to nginx")
		})
		p.ok(c, "exec", "redis", "redis-benchmark", "-q", "-n", "2000", "-c", "20", "-t", "set,get")
		p.ok(c, "pod", "stop", "-t", "10", "shop")
		same(c, "exit status of redis, which has been asked to end", p.inspect(c, "redis", "State.ExitCode"), "0")
		p.ok(c, "pod", "rm", "-f", "-t", "0", "shop")
	}},
	{name: "a network of the user's", where: onlyRootless, do: func(c *engine.C, p *podman) {
		p.needDebian(c)
		p.start(c, "redis", "--network=slirp4netns", "-p", "127.0.0.1:16379:6379", debian, "redis-server", "--save", "", "--protected-mode", "no")
		p.serve(c, "redis")
		in(c, p.ok(c, "exec", "redis", "cat", "/proc/net/dev"), "tap0")
		engine.RedisAnswers(c, "127.0.0.1:16379", "PING", "PONG")
		p.remove(c, "redis")
	}},
	{name: "a bridge", where: onlyRoot, do: func(c *engine.C, p *podman) {
		p.needDebian(c)
		if out, status := p.status(c, "network", "create", "--subnet=10.99.1.0/24", "bridge1"); status != 0 {
			c.Skipf("no network: %s", out)
		}
		p.start(c, "redis", "--network=bridge1", "--ip=10.99.1.7", "-p", "127.0.0.1:16379:6379", debian, "redis-server", "--save", "", "--protected-mode", "no")
		p.serve(c, "redis")
		r := finish(c, p.command(c, "bash", "-c", "exec 3<>/dev/tcp/10.99.1.7/6379; printf 'PING\\r\\n' >&3; head -n1 <&3"))
		same(c, "the answer", strings.TrimSpace(r.out), "+PONG")
		in(c, p.run(c, "--network=bridge1", image, "ping", "-c", "1", "10.99.1.7"), "1 packets received")
		p.remove(c, "redis")
		p.ok(c, "network", "rm", "bridge1")
		_ = finish(c, p.command(c, "ip", "link", "delete", "cni-podman1"))
	}},
}

// serve waits until redis answers in its container.
func (p *podman) serve(c *engine.C, name string) {
	c.Helper()
	engine.Eventually(c, name+" answers", func() error {
		out, _ := p.status(c, "exec", name, "redis-cli", "ping")
		return engine.Contains(out, "PONG")
	})
}
