package cri

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// ids is the mapping of a pod with a user namespace: 65536 IDs from the given one on.
func ids(first uint32) []*cri.IDMapping {
	return []*cri.IDMapping{{ContainerId: 0, HostId: first, Length: 65536}}
}

// usersOf gives a pod a user namespace, as the kubelet does for "hostUsers: false".
func usersOf(first uint32) podOption {
	return func(c *cri.PodSandboxConfig) {
		c.Linux.SecurityContext.NamespaceOptions.UsernsOptions = &cri.UserNamespace{Mode: podMode, Uids: ids(first), Gids: ids(first)}
	}
}

// owner returns whose a file is.
func owner(c *engine.C, path string) string {
	c.Helper()
	var st syscall.Stat_t
	engine.Must(c, syscall.Lstat(path, &st))
	return fmt.Sprintf("%d:%d", st.Uid, st.Gid)
}

// userChecks are what containerd 2 leaves to what a runtime says of itself.
var userChecks = []engine.Check[env]{
	{Name: "user namespaces of pods", Do: func(c *engine.C, e env) {
		const one, other = 1 << 20, 1<<20 + 65536
		p, q := e.pod(c, "users1", usersOf(one)), e.pod(c, "users2", usersOf(other))
		defer p.remove()
		defer q.remove()
		volume := c.TempDir()
		engine.Must(c, os.Chmod(volume, 0o777))
		engine.Must(c, os.WriteFile(volume+"/old", []byte("old"), 0o600))
		engine.Must(c, os.Chown(volume+"/old", 1000, 2000))
		for first, p := range map[uint32]*pod{one: p, other: q} {
			shared := mounted(&cri.Mount{HostPath: volume, ContainerPath: "/volume", UidMappings: ids(first), GidMappings: ids(first)})
			a := p.sleeper("a", shared, secured(func(s *cri.LinuxContainerSecurityContext) {
				s.Capabilities = &cri.Capability{AddCapabilities: []string{"NET_ADMIN", "SYS_ADMIN"}}
			}))
			b := p.sleeper("b", shared, secured(func(s *cri.LinuxContainerSecurityContext) {
				s.RunAsUser, s.RunAsGroup = &cri.Int64Value{Value: 1000}, &cri.Int64Value{Value: 2000}
			}))
			p.prints(b, "readlink /proc/self/ns/user", p.exec(a, "readlink /proc/self/ns/user"))
			p.prints(a, "awk '{print $1, $2, $3}' /proc/self/uid_map /proc/self/gid_map", fmt.Sprintf("0 %d 65536\n0 %d 65536", first, first))
			if got, want := owner(c, fmt.Sprintf("/proc/%d", e.pidOf(c, a))), fmt.Sprintf("%d:%d", first, first); got != want {
				c.Errorf("the payload is %s on the machine and not %s", got, want)
			}
			if got, want := owner(c, fmt.Sprintf("/proc/%d", e.pidOf(c, b))), fmt.Sprintf("%d:%d", first+1000, first+2000); got != want {
				c.Errorf("the user's payload is %s on the machine and not %s", got, want)
			}
			// The image's files are root's, and so is what root writes; on disk it has the pod's IDs.
			p.prints(a, "touch /new && stat -c %u:%g /new /etc/passwd /bin /proc/1", "0:0\n0:0\n0:0\n0:0")
			if got, want := owner(c, fmt.Sprintf("/proc/%d/root/new", e.pidOf(c, a))), fmt.Sprintf("%d:%d", first, first); got != want {
				c.Errorf("a new file is %s's on the machine and not %s's", got, want)
			}
			// A volume has the IDs of the pod's inside.
			name := p.config.Metadata.Name
			p.prints(a, "stat -c %u:%g /volume/old; echo x >/volume/"+name+"; stat -c %u:%g /volume/"+name, "1000:2000\n0:0")
			p.prints(b, "cat /volume/old; echo x >/volume/user-"+name, "old")
			if got := owner(c, volume+"/"+name) + " " + owner(c, volume+"/user-"+name); got != "0:0 1000:2000" {
				c.Errorf("the files in the volume are %s's", got)
			}
			// It is root over what is the pod's, and over nothing else.
			p.exec(a, "ip link set lo down && ip link set lo up && hostname other")
			p.refuses(a, "echo 0 >/proc/sys/kernel/panic", "")
			p.prints(a, "cat /proc/sys/kernel/shm_rmid_forced", "0")
			p.prints(a, "mount | grep -c ' on /volume .*idmapped'", "1")
		}
		p.prints(p.sleeper("c"), "cat /proc/self/uid_map | wc -l", "1")
	}},
	{Name: "user namespace with shared PIDs, limits and seccomp", Do: func(c *engine.C, e env) {
		p := e.pod(c, "users3", namespaces(podMode, podMode, podMode), usersOf(1<<21), func(c *cri.PodSandboxConfig) {
			c.Linux.Sysctls = map[string]string{"net.ipv4.ip_unprivileged_port_start": "80"}
		})
		defer p.remove()
		strict := secured(func(s *cri.LinuxContainerSecurityContext) {
			s.Seccomp = &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault}
			s.ReadonlyRootfs, s.MaskedPaths, s.ReadonlyPaths = true, []string{"/proc/keys", "/sys/firmware"}, []string{"/proc/sys"}
			s.RunAsUser = &cri.Int64Value{Value: 1000}
		})
		a, b := p.start("a", "exec httpd -f -p 80 -h /etc", strict), p.sleeper("b", func(c *cri.ContainerConfig) { c.Linux.Resources.MemoryLimitInBytes = 64 << 20 })
		engine.Eventually(c, "the other container serves", func() error {
			r, err := p.execute(b, "wget -qO- http://127.0.0.1/passwd")
			if err != nil {
				return err
			}
			return engine.Contains(string(r.Stdout), "root:")
		})
		p.refuses(a, "touch /x", "Read-only file system")
		p.prints(a, "id -u", "1000")
		p.exec(b, "kill $(pidof httpd)")
		p.ended(a)
	}},
	{Name: "mounts that are read-only with what is below", Do: func(c *engine.C, e env) {
		volume := c.TempDir()
		engine.Must(c, os.Mkdir(volume+"/below", 0o755))
		engine.Must(c, unix.Mount("tmpfs", volume+"/below", "tmpfs", 0, ""))
		defer func() { _ = unix.Unmount(volume+"/below", unix.MNT_DETACH) }()
		p := e.pod(c, "readonly")
		defer p.remove()
		a := p.sleeper("a", mounted(&cri.Mount{HostPath: volume, ContainerPath: "/all", Readonly: true, RecursiveReadOnly: true}),
			mounted(&cri.Mount{HostPath: volume, ContainerPath: "/top", Readonly: true}))
		p.refuses(a, "touch /all/x", "Read-only file system")
		p.refuses(a, "touch /all/below/x", "Read-only file system")
		p.refuses(a, "touch /top/x", "Read-only file system")
		p.exec(a, "touch /top/below/x")
	}},
	{Name: "what the runtime can do is told", Do: func(c *engine.C, e env) {
		s, err := e.runtime.Status(soon(c), &cri.StatusRequest{})
		engine.Must(c, err)
		var told strings.Builder
		for _, h := range s.RuntimeHandlers {
			if h.Name == e.class {
				fmt.Fprintf(&told, "user namespaces %v, recursive read-only %v", h.Features.GetUserNamespaces(), h.Features.GetRecursiveReadOnlyMounts())
			}
		}
		if err := same(told.String(), "user namespaces true, recursive read-only true"); err != nil {
			c.Error(err)
		}
	}},
}
