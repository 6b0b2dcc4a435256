package containerd

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// policies are what an administrator may have in /etc/bailey/policy.toml, and what becomes of a container that containerd asks
// for as ever.
var policies = []struct {
	name, policy string
	args         []string
	script       string
	want         string // in what is printed
}{
	{"own IDs", `userns = "auto"`, nil, "cat /proc/self/uid_map | tr -s ' '; stat -c %u /bin", " 65536\n0\n"},
	{"own IDs with the host's network", `userns = "auto"`, []string{"--net-host"}, "cat /proc/self/uid_map | tr -s ' '", " 65536\n"},
	{"own IDs and the host's processes", `userns = "auto"`, []string{"--with-ns", "pid:/proc/1/ns/pid"}, "true", "namespace"},
	{"a user namespace is required", `userns = "require"`, nil, "true", "policy.toml"},
	{"a user namespace is required, and there", `userns = "require"`, []string{"--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"}, "echo runs", "runs\n"},
	{"seal", `seal = "always"`, []string{"--cap-add", "CAP_SYS_ADMIN"}, "umount /proc/timer_list 2>&1; echo $?", "1\n"},
	{"no nested namespaces", "namespaces.user = 0\nnamespaces.net = 0", []string{"--cap-add", "CAP_SYS_ADMIN"}, "unshare -U true 2>&1; unshare -n true 2>&1", "unshare(0x10000000): Operation not permitted\nunshare: unshare(0x40000000): Operation not permitted\n"},
	{"a ceiling of capabilities", `capabilities = ["CAP_KILL"]`, []string{"--cap-add", "CAP_SYS_ADMIN"}, "grep -E 'Cap(Bnd|Eff)' /proc/self/status", "CapEff:\t0000000000000020\nCapBnd:\t0000000000000020\n"},
	{"no new privileges", `no_new_privileges = "set"`, []string{"--allow-new-privs"}, "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1\n"},
	{"a filter is required", `seccomp = "require"`, nil, "true", "policy.toml"},
	{"a filter is required, and there", `seccomp = "require"`, []string{"--seccomp"}, "echo runs", "runs\n"},
	{"secure bits", `securebits = ["noroot", "noroot_locked"]`, nil, "grep CapEff /proc/self/status", "CapEff:\t0000000000000000\n"},
	{"rules by engine", "annotations = \"tighten\"\n[[rule]]\nname = \"r\"\nmatch.engine = \"containerd\"\ncapabilities = []", nil, "grep CapBnd /proc/self/status", "CapBnd:\t0000000000000000\n"},
}

// TestPolicy has policies hold under a containerd that does not know of them, with both shims.
func TestPolicy(t *testing.T) {
	bin := engine.Bin(t) + "/bailey"
	for _, v := range versions(t) {
		t.Run(v.name, func(t *testing.T) {
			d := newDaemon(t, v, ownShim)
			if out, err := exec.Command(bin, "ids", "setup").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for _, r := range []engine.Runtime{ownShim, {Name: "bailey", Path: bin}} {
				t.Run(r.Name, func(t *testing.T) {
					d.t, d.runtime = t, r
					defer func() { d.t = d.owner }()
					for i, p := range policies {
						if v.name == "1.6" && !d.own() && slices.Contains(p.args, "--uidmap") {
							continue // its ctr forgets the runtime's binary then
						}
						engine.SetPolicy(t, "[defaults]\n"+p.policy+"\n")
						id := "policy" + strconv.Itoa(i)
						args := append(append(d.run(id, "--rm"), p.args...), image, id, "/bin/sh", "-c", p.script)
						out, status := d.ctrStatus(args...)
						if !strings.Contains(out, p.want) {
							t.Errorf("%s: exit status %d: %q lacks %q", p.name, status, out, p.want)
						}
						_, _ = d.ctrStatus("containers", "delete", id)
					}
					engine.SetPolicy(t, "[defaults]\ncapabilities = []\n")
					d.Ctr(d.run("execs", "-d", image, "execs", "/bin/sleep", "1000")...)
					out := d.Ctr("tasks", "exec", "--exec-id", "one", "execs", "/bin/grep", "CapBnd", "/proc/self/status")
					if err := engine.Contains(out, "CapBnd:\t0000000000000000\n"); err != nil {
						t.Errorf("an executed process: %v", err)
					}
					d.remove("execs")
					engine.SetPolicy(t, "[defaults]\nuserns = \"auto\"\n")
					// Directories show other owners as they are; overlays are made anew from their layers.
					for _, d.snapshotter = range []string{"native", "overlayfs"} {
						img, err := d.client.GetImage(d.ctx, image)
						must(t, err)
						must(t, img.Unpack(d.ctx, d.snapshotter))
						ownIDs(t, d)
					}
					d.snapshotter = ""
				})
			}
		})
	}
}

// ownIDs starts two containers and looks at whose their IDs and files are.
func ownIDs(t *testing.T, d *daemon) {
	var maps [2]string
	var tasks [2]*task
	for i := range tasks {
		tasks[i] = d.startTask("own-"+d.snapshotter+strconv.Itoa(i), shell("id -u; touch /made; echo x > /dev/stdout; sleep 1000"))
		engine.Eventually(t, "the payload runs", func() error { return engine.Contains(tasks[i].out.String(), "x") })
		b, err := os.ReadFile("/proc/" + strconv.Itoa(int(tasks[i].Pid())) + "/uid_map")
		must(t, err)
		maps[i] = strings.TrimSpace(string(b))
	}
	if f := strings.Fields(maps[0]); maps[0] == maps[1] || f[0] != "0" || f[1] == "0" {
		t.Errorf("the maps are %q", maps)
	}
	if _, err := tasks[0].Checkpoint(d.ctx); err == nil || engine.Contains(err.Error(), "not supported") != nil {
		t.Errorf("a checkpoint: %v", err)
	}
	for i, k := range tasks {
		if out, status := k.exec("who"+strconv.Itoa(i), "stat -c %u /made; cat /proc/self/uid_map"); status != 0 || !strings.HasPrefix(out, "0\n") {
			t.Errorf("%q, %d", out, status)
		}
		k.end()
	}
}
