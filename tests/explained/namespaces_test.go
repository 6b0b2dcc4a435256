package explained

import (
	"fmt"
	"os"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// parameter makes the machine seem to have a kernel parameter in /proc/sys/kernel.
func (p *place) parameter(name, value string) {
	p.T.Helper()
	p.Must(os.Mkdir(p.Path("kernel"), 0o755))
	p.WriteFile("kernel/"+name, value+"\n", 0o644)
	p.Cover("/proc/sys/kernel", p.Path("kernel"))
}

// filtered starts commands under a filter by which a system call fails.
func filtered(t *place, by harness.Options, call int, errno int) harness.Options {
	by.Prefix = []string{harness.Probe(t.T), "filter", strconv.Itoa(call), strconv.Itoa(errno)}
	return by
}

// inside starts commands in nested user namespaces, after a script.
func inside(depth int, script string, flags ...string) harness.Options {
	var prefix []string
	for range depth {
		prefix = append(prefix, append([]string{"unshare", "--user", "--map-root-user", "--mount"}, flags...)...)
	}
	if script != "" {
		prefix = append(prefix, "sh", "-c", script+`; exec "$@"`, "sh")
	}
	return harness.Options{Prefix: prefix}
}

// inner is a container whose user namespace has the one ID that the outer one has.
func (p *place) inner(changes ...harness.Change) *harness.Container {
	return p.Container(append([]harness.Change{newUserNamespace, maps(specs.LinuxIDMapping{Size: 1}), oneID, plain, harness.Args("true")}, changes...)...)
}

var namespaceFailures = []failure{
	{row: 5, name: "AppArmor restricts user namespaces", imitated: "This machine's kernel has no such parameter: the file, and the kernel's refusal, are imitated in the test.",
		finds: "the sysctl kernel.apparmor_restrict_unprivileged_userns, the label in /proc/self/attr, and that of the process inside", met: "runc#4069, youki#3298, moby#47480, nerdctl#2847",
		run: func(p *place) *harness.Result {
			by := p.granted()
			p.parameter("apparmor_restrict_unprivileged_userns", "1")
			return p.as(filtered(p, by, unix.SYS_CLONE3, int(unix.EPERM)), p.theirs().RunArgs()...)
		}, line: "clone3: EPERM", cause: "kernel.apparmor_restrict_unprivileged_userns is 1, and no profile is in force for bailey", try: `"userns,"`},
	{row: 6, name: "only root may make user namespaces (Debian)", imitated: "This machine's kernel has no such parameter: the file, and the kernel's refusal, are imitated in the test.",
		finds: "the sysctl kernel.unprivileged_userns_clone", met: "runc#1929, nix-user-chroot#4, sandboxed-api#71",
		run: func(p *place) *harness.Result {
			by := p.granted()
			p.parameter("unprivileged_userns_clone", "0")
			return p.as(filtered(p, by, unix.SYS_CLONE3, int(unix.EPERM)), p.theirs().RunArgs()...)
		}, line: "clone3: EPERM", cause: "kernel.unprivileged_userns_clone is 0", try: "sysctl -w kernel.unprivileged_userns_clone=1"},
	{row: 6, name: "an outer container's filter refuses namespaces",
		finds: "Seccomp in /proc/self/status, after everything else", met: "moby#42441, cri-o#8437",
		run: func(p *place) *harness.Result {
			return p.as(filtered(p, p.granted(), unix.SYS_CLONE3, int(unix.EPERM)), p.theirs().RunArgs()...)
		}, line: "clone3: EPERM", cause: "a system-call filter (seccomp) is in force for bailey", try: "seccomp"},
	{row: 6, name: "an outer container's filter hides clone3",
		finds: "Seccomp in /proc/self/status", met: "moby#42681, runc#4889, moby#42455",
		run: func(p *place) *harness.Result {
			return p.as(filtered(p, p.granted(), unix.SYS_CLONE3, int(unix.ENOSYS)), p.theirs().RunArgs()...)
		}, line: "clone3: ENOSYS", cause: "answers clone3 as a kernel without it would", try: "seccomp"},
	{row: 6, name: "a user namespace from within a chroot",
		finds: "whether a mount of /proc/self/mountinfo is on /", met: "no thread of its own",
		run: func(p *place) *harness.Result {
			c := p.Container(harness.UserNamespace, harness.Args("true"))
			root := p.Path("chroot")
			for _, dir := range []string{"/bin", "/proc", "/sys", "/tmp", "/dev"} {
				p.Must(os.MkdirAll(root+dir, 0o755))
				p.Do(func() {
					if err := unix.Mount(dir, root+dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
						p.T.Error(err)
					}
				})
			}
			p.Mounted()
			return p.as(harness.Options{Prefix: []string{"/usr/sbin/chroot", root}}, nested(c)...)
		}, line: "clone3: EPERM", cause: "bailey runs in a chroot", try: "outside of the chroot"},
	{row: 7, name: "user namespaces are switched off by a limit",
		finds: "the sysctls user.max_*_namespaces", met: "bubblewrap#371, pyxis#93, systemd#35311, ansible-role-docker-rootless#249",
		run: func(p *place) *harness.Result {
			return p.as(inside(1, "echo 0 > /proc/sys/user/max_user_namespaces"), nested(p.inner())...)
		}, line: "clone3: ENOSPC", cause: "it is a limit, not disk space: the sysctl user.max_user_namespaces is 0", try: "sysctl -w user.max_user_namespaces"},
	{row: 7, name: "another kind's limit is reached",
		finds: "the sysctls, and making each kind by itself", met: "bubblewrap#764, runc#4928, pyxis#93",
		run: func(p *place) *harness.Result {
			return p.as(inside(1, "echo 1 > /proc/sys/user/max_uts_namespaces", "--uts"), nested(p.inner())...)
		}, line: "clone3: ENOSPC", cause: "user.max_uts_namespaces allows user 0 1 uts namespaces in the user namespace that bailey runs in", try: "lsns -t uts"},
	{row: 7, name: "a limit further out is reached",
		finds: "the sysctls here, which are not reached, and making each kind by itself", met: "bubblewrap#465, bubblewrap#764",
		run: func(p *place) *harness.Result {
			by := inside(1, "echo 0 > /proc/sys/user/max_net_namespaces")
			by.Prefix = append(by.Prefix, inside(1, "").Prefix...)
			return p.as(by, nested(p.inner())...)
		}, line: "clone3: ENOSPC", cause: "it is that of one further out", try: "outermost"},
	{row: 8, name: "user namespaces nested too deep",
		finds: "the own limit, which is not reached; what is further out cannot be seen", met: "bubblewrap#764",
		run:  func(p *place) *harness.Result { return p.as(inside(33, ""), nested(p.inner())...) },
		line: "clone3: ENOSPC", cause: "nested 33 deep", try: "nest less deeply"},
	{row: 16, name: "root of a user namespace without a mount namespace",
		finds: "NS_GET_USERNS of bailey's own mount namespace, CapEff", met: "no thread of its own",
		run: func(p *place) *harness.Result {
			return p.as(harness.Options{Prefix: []string{"unshare", "--user", "--map-root-user"}}, nested(p.inner())...)
		}, line: "open_tree: EPERM", cause: "its mount namespace belongs to one further out", try: "--mount"},
	{row: 16, name: "a container without CAP_SYS_ADMIN",
		finds: "CapEff in /proc/self/status", met: "moby#40835, moby#29669",
		run: func(p *place) *harness.Result {
			return p.as(without("sys_admin"), p.Container(plain, harness.Args("true")).RunArgs()...)
		}, line: "open_tree: EPERM", cause: "takes CAP_SYS_ADMIN, which bailey does not have", try: "unshare --user"},
	{row: 20, name: "a namespace that another user namespace owns",
		finds: "NS_GET_USERNS of the namespace, CapEff", met: "runc#4390, runc#771, podman#4473, podman#10384",
		run: func(p *place) *harness.Result {
			holder := p.Container(harness.UserNamespace)
			holder.Create().OK(p.Env)
			path := fmt.Sprintf("/proc/%d/ns/net", holder.PID())
			// An ordinary user cannot even open that; by a bind mount, as of "ip netns add", it can.
			file := p.WriteFile("netns", "", 0o644)
			p.Cover(file, path)
			by := p.granted()
			r := p.as(by, p.theirs(harness.Joined(specs.NetworkNamespace, file)).RunArgs()...)
			p.Do(func() { unix.Unmount(file, unix.MNT_DETACH) })
			p.Mounted()
			holder.Delete("--force").OK(p.Env)
			return r
		}, line: "setns: EPERM", cause: "takes CAP_SYS_ADMIN in the user namespace that it belongs to", try: `"type": "user", "path"`},
	{row: 20, name: "a namespace of an outer user namespace",
		finds: "NS_GET_USERNS of the namespace, which the kernel does not show", met: "podman#4473, runc#799, slirp4netns#228",
		run: func(p *place) *harness.Result {
			file := p.WriteFile("netns", "", 0o644)
			p.Cover(file, "/proc/self/ns/net")
			return p.as(inside(1, ""), nested(p.inner(harness.Joined(specs.NetworkNamespace, file)))...)
		}, line: "setns: EPERM", cause: "neither bailey's own nor inside it", try: "a namespace of its own"},
}
