package podman

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// kill9 kills a process of the engine's.
func (p *podman) kill9(c *engine.C, pid string) {
	c.Helper()
	n, err := strconv.Atoi(pid)
	engine.Must(c, err)
	engine.Must(c, syscall.Kill(n, syscall.SIGKILL))
}

// namespace returns the name of a namespace of a container's, as seen from outside.
func (p *podman) namespace(c *engine.C, name, kind string) string {
	c.Helper()
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", p.pid(c, name), kind))
	engine.Must(c, err)
	return link
}

// ids returns the first line of a container's map of users, as seen from outside: the IDs inside and outside, and how many.
func (p *podman) ids(c *engine.C, name string) (inside, outside, size int) {
	c.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/uid_map", p.pid(c, name)))
	engine.Must(c, err)
	fields := strings.Fields(string(b))
	if len(fields) < 3 {
		c.Fatalf("map %q", b)
	}
	var n [3]int
	for i := range n {
		n[i], err = strconv.Atoi(fields[i])
		engine.Must(c, err)
	}
	return n[0], n[1], n[2]
}

// owner returns the user of a container's process, as seen from outside.
func (p *podman) owner(c *engine.C, name string) int {
	c.Helper()
	var st syscall.Stat_t
	engine.Must(c, syscall.Stat(fmt.Sprintf("/proc/%d", p.pid(c, name)), &st))
	return int(st.Uid)
}

// namespaces are those of the host, of other containers, and users.
var namespaces = []steps{
	{name: "namespaces of its own", do: func(c *engine.C, p *podman) {
		p.sleeper(c, "web")
		for _, kind := range []string{"pid", "ipc", "uts", "net", "mnt", "cgroup"} {
			mine, err := os.Readlink("/proc/self/ns/" + kind)
			engine.Must(c, err)
			if got := p.namespace(c, "web", kind); got == mine && (kind != "cgroup" || engine.View() == "v2") {
				c.Errorf("the %s namespace is that of the host", kind)
			}
		}
		p.remove(c, "web")
	}},
	{name: "namespaces of the host", do: func(c *engine.C, p *podman) {
		kinds := []string{"pid", "uts", "net", "cgroup"}
		if engine.Exists("/dev/mqueue") { // for an ordinary user it is a bind mount of that
			kinds = append(kinds, "ipc")
		}
		options := make([]string, len(kinds))
		for i, kind := range kinds {
			options[i] = "--" + strings.Replace(kind, "cgroup", "cgroupns", 1) + "=host"
		}
		p.sleeper(c, "web", options...)
		for _, kind := range kinds {
			mine, err := os.Readlink("/proc/self/ns/" + kind)
			engine.Must(c, err)
			same(c, kind, p.namespace(c, "web", kind), mine)
		}
		p.ok(c, "exec", "web", "true")
		p.remove(c, "web")
	}},
	{name: "namespaces of a container", do: func(c *engine.C, p *podman) {
		p.sleeper(c, "first", "--ipc=shareable")
		kinds := []string{"pid", "ipc", "uts", "net"}
		if !p.rootless || engine.View() == "v2" { // in v1 it is that of the host, which an ordinary user cannot join
			kinds = append(kinds, "cgroup")
		}
		options := make([]string, len(kinds))
		for i, kind := range kinds {
			options[i] = "--" + strings.Replace(kind, "cgroup", "cgroupns", 1) + "=container:first"
		}
		p.sleeper(c, "second", options...)
		for _, kind := range kinds {
			same(c, kind, p.namespace(c, "second", kind), p.namespace(c, "first", kind))
		}
		same(c, "processes", p.ok(c, "exec", "second", "sh", "-c", "ps | grep -c 'sleep [1]000'"), "2")
		p.remove(c, "second")
		p.ok(c, "exec", "first", "true")
		p.remove(c, "first")
	}},
	{name: "users of a container", do: func(c *engine.C, p *podman) {
		p.sleeper(c, "first", "--userns=auto")
		p.sleeper(c, "second", "--userns=container:first")
		same(c, "namespace", p.namespace(c, "second", "user"), p.namespace(c, "first", "user"))
		p.ok(c, "exec", "second", "true")
		p.remove(c, "second")
		p.remove(c, "first")
	}},
	{name: "IDs of its own", do: func(c *engine.C, p *podman) {
		from, count := autoIDs, autoCount
		if p.rootless {
			from, count = aliceIDs, aliceCount
		}
		end := 0
		for _, name := range []string{"first", "second", "third"} {
			p.sleeper(c, name, "--userns=auto:size=3000")
			inside, outside, size := p.ids(c, name)
			if inside != 0 || size != 3000 || outside < from || outside+size > from+count {
				c.Errorf("%s: map %d %d %d", name, inside, outside, size)
			}
			if outside < end {
				c.Errorf("%s has IDs from %d, another one's go to %d", name, outside, end)
			}
			end = outside + size
			if owner := p.owner(c, name); owner != outside {
				c.Errorf("%s: its process is of user %d, outside", name, owner)
			}
			same(c, "owner of the root", p.ok(c, "exec", name, "stat", "-c", "%u %g", "/bin", "/tmp"), "0 0\n0 0")
		}
		p.remove(c, "first", "second", "third")
	}},
	{name: "keep-id from outside", where: onlyRootless, do: func(c *engine.C, p *podman) {
		dir := aliceHome + "/shared"
		engine.Must(c, os.MkdirAll(dir, 0o755))
		engine.Must(c, os.Chown(dir, alice, alice))
		defer os.RemoveAll(dir)
		p.sleeper(c, "web", "--userns=keep-id", "-v", dir+":/mnt")
		if owner := p.owner(c, "web"); owner != alice {
			c.Errorf("its process is of user %d", owner)
		}
		p.ok(c, "exec", "web", "touch", "/mnt/mine")
		p.ok(c, "exec", "-u", "0", "web", "touch", "/mnt/root")
		for file, want := range map[string]uint32{"mine": alice, "root": aliceIDs} {
			var st syscall.Stat_t
			engine.Must(c, syscall.Stat(dir+"/"+file, &st))
			if st.Uid != want {
				c.Errorf("%s is of user %d, want %d", file, st.Uid, want)
			}
		}
		p.remove(c, "web")
	}},
	{name: "root from outside", do: func(c *engine.C, p *podman) {
		want := 0
		if p.rootless {
			want = alice
		}
		p.sleeper(c, "web")
		if owner := p.owner(c, "web"); owner != want {
			c.Errorf("its process is of user %d, want %d", owner, want)
		}
		p.remove(c, "web")
		p.sleeper(c, "web", "--user=5")
		if p.rootless {
			want = aliceIDs + 4
		} else {
			want = 5
		}
		if owner := p.owner(c, "web"); owner != want {
			c.Errorf("the process of user 5 is of user %d, want %d", owner, want)
		}
		p.remove(c, "web")
	}},
	{name: "mapped by hand from outside", do: func(c *engine.C, p *podman) {
		p.sleeper(c, "web", "--uidmap=0:10:100", "--gidmap=0:20:100", "--user=7:8")
		want := 17
		if p.rootless {
			want = aliceIDs + 16
		}
		if owner := p.owner(c, "web"); owner != want {
			c.Errorf("its process is of user %d, want %d", owner, want)
		}
		p.remove(c, "web")
	}},
}

// volumes are what is mounted.
var volumes = []steps{
	{name: "volumes", do: func(c *engine.C, p *podman) {
		p.ok(c, "volume", "create", "data")
		p.run(c, "-v", "data:/data", image, "sh", "-c", "echo kept >/data/file; chown 5:6 /data/file")
		same(c, "a file of a volume", p.run(c, "-v", "data:/data:ro", image, "sh", "-c", "cat /data/file; stat -c '%u %g' /data/file; touch /data/x 2>/dev/null || echo no"), "kept\n5 6\nno")
		p.ok(c, "volume", "rm", "data")
		// What the image has where a volume comes is copied into it.
		same(c, "a file of the image", p.run(c, "-v", "data:/etc", image, "cat", "/etc/passwd"), "root:x:0:0:root:/root:/bin/sh")
		p.ok(c, "volume", "rm", "data")
		p.run(c, "-v", "/anonymous", image, "touch", "/anonymous/x")
	}},
	{name: "a volume of other users", do: func(c *engine.C, p *podman) {
		out := p.run(c, "--userns=auto:size=5000", "--user=1000", "-v", "data:/data:U", image, "sh", "-c", "touch /data/x; stat -c %u /data /data/x")
		same(c, "owners", out, "1000\n1000")
		p.ok(c, "volume", "rm", "data")
	}},
	{name: "mounts come through", where: onlyRoot, do: func(c *engine.C, p *podman) {
		dir := p.dir + "/propagated"
		engine.Must(c, os.MkdirAll(dir+"/sub", 0o755))
		defer os.RemoveAll(dir)
		engine.Must(c, syscall.Mount(dir, dir, "", syscall.MS_BIND, ""))
		defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
		engine.Must(c, syscall.Mount("", dir, "", syscall.MS_SHARED, ""))
		p.sleeper(c, "slave", "-v", dir+":/mnt:rslave")
		p.sleeper(c, "private", "-v", dir+":/mnt:rprivate")
		engine.Must(c, syscall.Mount("tmpfs", dir+"/sub", "tmpfs", 0, ""))
		defer func() { _ = syscall.Unmount(dir+"/sub", syscall.MNT_DETACH) }()
		same(c, "the slave", p.ok(c, "exec", "slave", "sh", "-c", "grep -c ' /mnt/sub ' /proc/mounts"), "1")
		out, _ := p.status(c, "exec", "private", "grep", "-c", " /mnt/sub ", "/proc/mounts")
		same(c, "the private one", out, "0\n")
		p.remove(c, "slave", "private")
	}},
	{name: "secrets", do: func(c *engine.C, p *podman) {
		r := p.do(c, "hidden", "secret", "create", "word", "-")
		if r.status != 0 {
			c.Fatal(r.err)
		}
		same(c, "a secret", p.run(c, "--secret", "word", image, "cat", "/run/secrets/word"), "hidden")
		p.ok(c, "secret", "rm", "word")
	}},
}
