package podman

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// policy makes this the machine's policy. Root's containers take their IDs from the account bailey.
func policy(t testing.TB, text string) {
	t.Helper()
	accounts(t)
	engine.SetPolicy(t, text)
}

// accounts gives the account bailey subordinate IDs.
func accounts(t testing.TB) {
	t.Helper()
	if b, _ := os.ReadFile("/etc/subuid"); strings.Contains(string(b), "bailey:") {
		return
	}
	for file, line := range map[string]string{
		"passwd": "bailey:x:999:999::/:/usr/sbin/nologin\n",
		"subuid": fmt.Sprintf("bailey:%d:%d\n", ownIDs, ownCount),
		"subgid": fmt.Sprintf("bailey:%d:%d\n", ownIDs, ownCount),
	} {
		f, err := os.OpenFile("/etc/"+file, os.O_APPEND|os.O_WRONLY, 0)
		engine.Must(t, err)
		_, err = f.WriteString(line)
		engine.Must(t, err)
		engine.Must(t, f.Close())
	}
}

const ownIDs, ownCount = 1879048192, 1 << 26

// policies are checks of what a policy does to Podman's containers, without a change to Podman. They are bailey's alone.
var policies = []steps{
	{name: "IDs of its own by policy", where: onlyRoot, do: func(c *engine.C, p *podman) {
		policy(c, "[defaults]\nuserns = \"auto\"\n")
		end := 0
		for _, name := range []string{"first", "second"} {
			p.sleeper(c, name)
			_, outside, size := p.ids(c, name)
			if outside < ownIDs || size != 65536 || outside < end {
				c.Errorf("%s: IDs from %d, %d of them; another one's go to %d", name, outside, size, end)
			}
			end = outside + size
		}
		same(c, "owners", p.ok(c, "exec", "first", "stat", "-c", "%u", "/bin", "/proc/1"), "0\n0")
		same(c, "exec as a user", p.ok(c, "exec", "-u", "1000", "first", "id", "-u"), "1000")
		p.ok(c, "exec", "first", "sh", "-c", "echo new >/root/new")
		in(c, p.ok(c, "cp", "first:/root/new", "-"), "new\n")
		in(c, p.ok(c, "diff", "first"), "A /root/new")
		p.ok(c, "commit", "-q", "first", "localhost/committed:1")
		same(c, "the owner of the file", p.run(c, "localhost/committed:1", "stat", "-c", "%u", "/root/new"), "0")
		p.ok(c, "rmi", "localhost/committed:1")
		if out, status := p.status(c, "cp", "/etc/hostname", "first:/root/copied"); status == 0 {
			c.Errorf("the guide says that nothing can be copied into it: %s", out)
		}
		p.ok(c, "stop", "-t", "0", "second")
		p.ok(c, "cp", "/etc/hostname", "second:/root/copied")
		p.ok(c, "start", "second")
		same(c, "the owner of what was copied", p.ok(c, "exec", "second", "stat", "-c", "%u", "/root/copied"), "0")
		p.remove(c, "first", "second")
	}},
	{name: "volumes by policy", where: onlyRoot, do: func(c *engine.C, p *podman) {
		policy(c, "[defaults]\nuserns = \"auto\"\n")
		for range 2 { // with other IDs each time
			same(c, "owners", p.run(c, "--user=5:6", "-v", "data:/data", "--init", image, "sh", "-c", "stat -c '%u %g' /data"), "5 6") // as Podman has made it for that user
		}
		p.run(c, "-v", "data:/data", image, "sh", "-c", "echo x >/data/x; chown 5:6 /data/x")
		same(c, "owners on disk", finish(c, p.command(c, "stat", "-c", "%u %g", "/var/lib/containers/storage/volumes/data/_data/x")).out, "5 6\n")
		p.ok(c, "volume", "rm", "data")
	}},
	{name: "what has a user namespace keeps it", do: func(c *engine.C, p *podman) {
		policy(c, "[defaults]\nuserns = \"auto\"\n")
		p.sleeper(c, "web", "--userns=auto:size=3000")
		_, outside, size := p.ids(c, "web")
		if size != 3000 || outside >= ownIDs {
			c.Errorf("IDs from %d, %d of them", outside, size)
		}
		p.remove(c, "web")
	}},
	{name: "pods by policy", where: onlyV1, do: func(c *engine.C, p *podman) {
		policy(c, "[defaults]\nuserns = \"auto\"\n")
		p.pod(c, "shop", "--network=none")
		for _, name := range []string{"front", "back"} {
			// Over the network that they share they would have no effect, of which there is a warning.
			p.member(c, "shop", name, "--cap-drop=NET_RAW,NET_BIND_SERVICE", image, "sleep", "1000")
		}
		same(c, "net", p.namespace(c, "front", "net"), p.namespace(c, "back", "net"))
		if p.namespace(c, "front", "user") == p.namespace(c, "back", "user") {
			c.Error("they share IDs")
		}
		p.ok(c, "pod", "rm", "-f", "-t", "0", "shop")
	}},
	{name: "what no policy can give", where: onlyRoot, do: func(c *engine.C, p *podman) {
		policy(c, "[defaults]\nuserns = \"auto\"\n")
		for want, options := range map[string][]string{
			"no power over the PID namespace": {"--pid=host"},
			"permission denied":               {"--mount=type=image,src=" + image + ",dst=/mnt"},
		} {
			if out, status := p.runStatus(c, append(options, image, "true")...); status == 0 || engine.Contains(out, want) != nil {
				c.Errorf("%v: exit status %d: %s", options, status, out)
			}
		}
	}},
	{name: "seal by policy", do: func(c *engine.C, p *podman) {
		policy(c, "[defaults]\nseal = \"auto\"\nnamespaces.user = 0\n")
		// Nothing is lost for one without capabilities, so it is sealed: its masks hold even against all capabilities.
		p.sleeper(c, "web", "--cap-drop=all", "--security-opt=seccomp=unconfined")
		lift := "umount /proc/timer_list; mount | grep -c ' on /proc/timer_list'"
		out, _ := p.status(c, "exec", "--privileged", "web", "sh", "-c", lift)
		in(c, out, "Invalid argument", "1\n")
		out, status := p.status(c, "exec", "web", "unshare", "-U", "true")
		if status == 0 {
			c.Error("a user namespace can be made")
		}
		in(c, out, "No space left on device")
		p.remove(c, "web")
		// One with capabilities that it would lose is not, but makes no user namespaces either.
		p.sleeper(c, "web", "--cap-add=SYS_ADMIN", "--security-opt=seccomp=unconfined")
		same(c, "masks", p.ok(c, "exec", "web", "sh", "-c", lift+" || true"), "0")
		_, status = p.status(c, "exec", "web", "unshare", "-U", "true")
		if status == 0 {
			c.Error("a user namespace can be made")
		}
		p.remove(c, "web")
	}},
	{name: "refused by policy", do: func(c *engine.C, p *podman) {
		policy(c, "[[rule]]\nname = \"podman\"\nmatch.engine = \"podman\"\nseccomp = \"require\"\ncapabilities = [\"CAP_CHOWN\", \"CAP_SETUID\"]\n")
		same(c, "capabilities", p.run(c, image, "grep", "CapBnd", "/proc/self/status"), "CapBnd:\t0000000000000081")
		out, status := p.runStatus(c, "--security-opt=seccomp=unconfined", image, "true")
		if status == 0 {
			c.Error("it runs without a filter")
		}
		in(c, out, "podman", "policy.toml")
	}},
}

func TestPolicy(t *testing.T) { testPolicy(t, "Podman policy", false) }

func TestPolicyRootless(t *testing.T) { testPolicy(t, "Podman rootless policy", true) }

func testPolicy(t *testing.T, name string, rootless bool) {
	prepare(t)
	engine.Run(t, name, engine.Runtimes(t)[:1], func(t *testing.T, r engine.Runtime) *podman {
		return newPodman(t, rootless, r)
	}, left, checksIn(rootless, policies))
}
