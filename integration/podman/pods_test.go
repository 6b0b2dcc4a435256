package podman

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// pod makes a pod.
func (p *podman) pod(c *engine.C, name string, args ...string) {
	c.Helper()
	p.ok(c, append(append([]string{"pod", "create", "--name", name}, p.parent()...), args...)...)
}

// member starts a container of a pod.
func (p *podman) member(c *engine.C, pod, name string, args ...string) {
	c.Helper()
	p.ok(c, append([]string{"run", "-d", "--pull=never", "--pod", pod, "--name", name}, args...)...)
}

// kube is a pod as Kubernetes describes it.
const kube = `apiVersion: v1
kind: Pod
metadata: {name: shop, annotations: {io.podman.annotations.init.container.type: always}}
spec:
  securityContext: {runAsUser: 1000, runAsGroup: 1001, fsGroup: 77}
  initContainers:
  - {name: init, image: "localhost/busybox:1", command: [sh, -c, "echo prepared >/data/init"], volumeMounts: [{name: data, mountPath: /data}]}
  containers:
  - name: front
    image: localhost/busybox:1
    command: [sleep, "1000"]
    env: [{name: A, value: b}]
    securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts: [{name: data, mountPath: /data}]
  - name: back
    image: localhost/busybox:1
    command: [sleep, "1000"]
    securityContext: {runAsUser: 0, capabilities: {add: [NET_ADMIN], drop: [CHOWN]}}
    volumeMounts: [{name: data, mountPath: /data}, {name: host, mountPath: /host, readOnly: true}]
  volumes:
  - {name: data, emptyDir: {}}
  - {name: host, hostPath: {path: /run/podman-tests, type: Directory}}
`

// pods are containers that share namespaces.
var pods = []steps{
	{name: "pod", where: wherePods, do: func(c *engine.C, p *podman) {
		p.pod(c, "shop", "--network=none")
		p.member(c, "shop", "front", image, "sleep", "1000")
		p.member(c, "shop", "back", image, "sleep", "1000")
		for _, kind := range []string{"net", "ipc", "uts"} {
			same(c, kind, p.namespace(c, "front", kind), p.namespace(c, "back", kind))
		}
		if p.namespace(c, "front", "pid") == p.namespace(c, "back", "pid") {
			c.Error("they share processes")
		}
		same(c, "host name", p.ok(c, "exec", "front", "hostname"), "shop")
		in(c, p.ok(c, "pod", "ps", "--format", "{{.Name}} {{.Status}} {{.NumberOfContainers}}"), "shop Running 3")
		if n := strings.Count(p.ok(c, "pod", "top", "shop", "args"), "sleep 1000"); n != 2 {
			c.Errorf("%d processes", n)
		}
		if !p.rootless && engine.View() == "v1" {
			in(c, p.ok(c, "pod", "stats", "--no-stream", "shop"), "front", "back")
		}
		p.ok(c, "pod", "stop", "-t", "0", "shop")
		same(c, "status", p.inspect(c, "front", "State.Status"), "exited")
		p.ok(c, "pod", "start", "shop")
		p.ok(c, "exec", "back", "true")
		if !p.rootless || engine.View() == "v2" {
			p.ok(c, "pod", "pause", "shop")
			same(c, "status", p.inspect(c, "front", "State.Status"), "paused")
			p.ok(c, "pod", "unpause", "shop")
		}
		p.ok(c, "pod", "kill", "shop")
		p.ok(c, "pod", "rm", "-f", "-t", "0", "shop")
	}},
	{name: "pod with one list of processes and IDs of its own", where: wherePods, do: func(c *engine.C, p *podman) {
		p.pod(c, "shop", "--network=none", "--share=pid,ipc,uts,net", "--userns=auto:size=3000")
		p.member(c, "shop", "front", image, "sleep", "1000")
		p.member(c, "shop", "back", image, "sleep", "1000")
		for _, kind := range []string{"pid", "user", "net"} {
			same(c, kind, p.namespace(c, "front", kind), p.namespace(c, "back", kind))
		}
		same(c, "processes", p.ok(c, "exec", "front", "sh", "-c", "ps | grep -c 'sleep [1]000'"), "2")
		if _, _, size := p.ids(c, "front"); size != 3000 {
			c.Errorf("%d IDs", size)
		}
		p.ok(c, "pod", "rm", "-f", "-t", "0", "shop")
	}},
	{name: "init containers", where: wherePods, do: func(c *engine.C, p *podman) {
		p.pod(c, "shop", "--network=none")
		p.ok(c, "create", "--pull=never", "--pod", "shop", "--init-ctr", "always", "-v", "data:/data", image, "sh", "-c", "echo init >>/data/file")
		p.ok(c, "create", "--pull=never", "--pod", "shop", "--name", "front", "-v", "data:/data", image, "sleep", "1000")
		p.ok(c, "pod", "start", "shop")
		same(c, "what the init container has written", p.ok(c, "exec", "front", "cat", "/data/file"), "init")
		p.ok(c, "pod", "rm", "-f", "-t", "0", "shop")
		p.ok(c, "volume", "rm", "data")
	}},
	{name: "kube", where: wherePods, do: func(c *engine.C, p *podman) {
		file := p.home + "/shop.yaml"
		engine.Must(c, os.WriteFile(file, []byte(kube), 0o644))
		p.ok(c, "kube", "play", "--network=none", file)
		front, back := "shop-front", "shop-back"
		same(c, "front", p.ok(c, "exec", front, "sh", "-c", "id -u; id -g; cat /data/init; touch /x 2>/dev/null || echo no; echo $A; grep -c 'CapBnd:.0*$' /proc/self/status; grep NoNew /proc/self/status"),
			"1000\n1001\nprepared\nno\nb\n1\nNoNewPrivs:\t1")
		same(c, "back", p.ok(c, "exec", back, "sh", "-c", "id -u; ls /host/busybox.tar; touch /host/x 2>/dev/null || echo no; touch /tmp/x; chown 5 /tmp/x 2>/dev/null || echo no; ip link set lo down && echo yes"),
			"0\n/host/busybox.tar\nno\nno\nyes")
		same(c, "net", p.namespace(c, front, "net"), p.namespace(c, back, "net"))
		out := p.ok(c, "kube", "generate", "shop")
		in(c, out, "kind: Pod", "- sleep", "name: shop-front", "mountPath: /data", "readOnlyRootFilesystem: true")
		down(c, p, "shop", file)
		p.ok(c, "volume", "prune", "-f")
		// What has been generated can be played.
		p.pod(c, "other", "--network=none")
		p.member(c, "other", "one", image, "sleep", "1000")
		out = p.ok(c, "kube", "generate", "other")
		p.ok(c, "pod", "rm", "-f", "-t", "0", "other")
		engine.Must(c, os.WriteFile(file, []byte(out), 0o644))
		p.ok(c, "kube", "play", "--network=none", file)
		same(c, "a command in it", p.ok(c, "exec", "other-one", "echo", "hi"), "hi")
		down(c, p, "other", file)
	}},
}

// down removes what has been played. Its processes do not end when they are asked to.
func down(c *engine.C, p *podman, pod, file string) {
	c.Helper()
	p.ok(c, "pod", "kill", pod)
	// What conmon starts at a container's end unmounts it; Podman itself does not wait for that here.
	engine.Eventually(c, "nothing of it is mounted", func() error {
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err == nil && strings.Contains(string(mounts), "/userdata/shm ") {
			err = errors.New("there is /dev/shm of a container")
		}
		return err
	})
	p.ok(c, "kube", "down", file)
}

// checkpoints are containers that go on later.
var checkpoints = []steps{
	{name: "checkpoint", where: onlyRoot, do: func(c *engine.C, p *podman) {
		if os.Getenv("BAILEY_CRIU") == "" {
			c.Skip("no CRIU for this kernel: make test-engines")
		}
		script := "i=0; while :; do i=$((i+1)); echo $i >/count; sleep 0.05; done"
		p.start(c, "web", image, "sh", "-c", script)
		count := func() int {
			n := 0
			engine.Eventually(c, "there is a count", func() error {
				_, err := fmt.Sscan(p.ok(c, "exec", "web", "cat", "/count"), &n)
				return err
			})
			return n
		}
		goesOn := func(before int) {
			engine.Eventually(c, "it goes on", func() error {
				if now := count(); now <= before || now > before+1000 {
					return fmt.Errorf("the count is %d, and was %d", now, before)
				}
				return nil
			})
		}
		before := count()
		p.ok(c, "container", "checkpoint", "web")
		same(c, "status", p.inspect(c, "web", "State.Status"), "exited")
		p.ok(c, "container", "restore", "web")
		goesOn(before)
		before = count()
		p.ok(c, "container", "checkpoint", "--leave-running", "web")
		goesOn(before)
		p.ok(c, "container", "checkpoint", "--export", p.home+"/web.tar.gz", "web")
		p.remove(c, "web")
		p.ok(c, "container", "restore", "--import", p.home+"/web.tar.gz")
		goesOn(before)
		p.remove(c, "web")
	}},
}
