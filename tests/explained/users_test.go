package explained

import (
	"fmt"
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// ordinary has an ordinary user act, with these lines of /etc/subuid and /etc/subgid.
func (p *place) ordinary(uids, gids string) harness.Options { return p.User(uids, gids) }

// granted has an ordinary user act who has subordinate IDs.
func (p *place) granted() harness.Options { return p.User(harness.Granted(), harness.Granted()) }

// maps are those of an ordinary user: root is the user, and the rest the subordinate IDs.
func maps(lines ...specs.LinuxIDMapping) harness.Change {
	return func(s *specs.Spec) {
		s.Linux.UIDMappings, s.Linux.GIDMappings = slices.Clone(lines), slices.Clone(lines)
	}
}

var (
	ownLine = specs.LinuxIDMapping{ContainerID: 0, HostID: harness.UserID, Size: 1}
	subLine = specs.LinuxIDMapping{ContainerID: 1, HostID: harness.SubIDs, Size: harness.SubCount}
)

// theirs is a container of the ordinary user, with the own ID and the subordinate ones.
func (p *place) theirs(changes ...harness.Change) *harness.Container {
	p.T.Helper()
	c := p.Container(append([]harness.Change{newUserNamespace, maps(ownLine, subLine), plain, harness.Args("true")}, changes...)...)
	c.OwnedBy(harness.UserID)
	return c
}

func newUserNamespace(s *specs.Spec) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
}

// plain takes away what an ordinary user, or root of a nested namespace, does without.
func plain(s *specs.Spec) {
	s.Linux.CgroupsPath = ""
	s.Linux.Resources = nil
}

// oneID leaves out what takes more than one ID.
func oneID(s *specs.Spec) {
	for i := range s.Mounts {
		if s.Mounts[i].Destination == "/dev/pts" {
			s.Mounts[i].Options = []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}
		}
	}
}

// helper puts something else in place of newuidmap.
func (p *place) helper(mode os.FileMode, owner int, flags uintptr) {
	p.T.Helper()
	b, err := os.ReadFile("/usr/bin/newuidmap")
	if err != nil {
		p.T.Skip("no newuidmap: ", err)
	}
	dir := p.Path("bin")
	p.Must(os.Mkdir(dir, 0o755))
	p.Must(os.WriteFile(dir+"/newuidmap", b, 0o755))
	p.Must(os.Chown(dir+"/newuidmap", owner, owner))
	p.Must(unix.Chmod(dir+"/newuidmap", uint32(mode)))
	p.Cover("/usr/bin/newuidmap", dir+"/newuidmap")
	p.Do(func() {
		if err := unix.Mount("", "/usr/bin/newuidmap", "", unix.MS_REMOUNT|unix.MS_BIND|flags, ""); err != nil {
			p.T.Error(err)
		}
	})
	p.Mounted()
}

var idFailures = []failure{
	{row: 1, name: "newuidmap has lost its set-user-ID bit",
		finds: "mode and owner of the file, its attribute security.capability", met: "buildkit#1904, rootlesskit#404, moby#41812, podman#21738",
		run: func(p *place) *harness.Result {
			by := p.granted()
			p.helper(0o755, 0, 0)
			return p.as(by, p.theirs().RunArgs()...)
		}, line: "/linux/uidMappings", cause: "neither the set-user-ID bit (its mode is 0755) nor the file capability cap_setuid", try: "chmod u+s /usr/bin/newuidmap"},
	{row: 1, name: "newuidmap belongs to somebody else than root",
		finds: "mode and owner of the file", met: "rootlesskit#326",
		run: func(p *place) *harness.Result {
			by := p.granted()
			p.helper(0o4755, harness.UserID, 0)
			return p.as(by, p.theirs().RunArgs()...)
		}, line: "/linux/uidMappings", cause: "belongs to user 54321", try: "chown root:root"},
	{row: 1, name: "newuidmap lies on a mount that is nosuid",
		finds: "statfs(2) of the file", met: "rootlesskit#404",
		run: func(p *place) *harness.Result {
			by := p.granted()
			p.helper(0o4755, 0, unix.MS_NOSUID)
			return p.as(by, p.theirs().RunArgs()...)
		}, line: "/linux/uidMappings", cause: "mounted nosuid", try: "without nosuid"},
	{row: 2, name: "newuidmap is not installed",
		finds: "the directories of PATH", met: "rootlesskit#326",
		run: func(p *place) *harness.Result {
			by := p.granted()
			by.Env = append(by.Env, "PATH=/usr/local/bin")
			return p.as(by, p.theirs().RunArgs()...)
		}, line: "/linux/gidMappings", cause: "in no directory of PATH (/usr/local/bin)", try: "uidmap"},
	{row: 3, name: "a range that /etc/subuid does not grant",
		finds: "the user's lines of /etc/subuid and /etc/subgid", met: "podman#12637, podman#4436, podman#20336, incus#1483",
		run: func(p *place) *harness.Result {
			return p.as(p.ordinary(fmt.Sprintf("bailey-test:%d:1000\n", harness.SubIDs), harness.Granted()), p.theirs().RunArgs()...)
		}, line: "newuidmap", cause: "grants user 54321 (bailey-test) the IDs 70000 to 70999, and not all of 70000 to 135535", try: `add the line "bailey-test:70000:65536" to /etc/subuid`},
	{row: 3, name: "the own ID lies in the range",
		finds: "the user's line of /etc/subuid, and who runs bailey", met: "podman#7162, podman#12637",
		run: func(p *place) *harness.Result {
			line := fmt.Sprintf("bailey-test:%d:1000\n", harness.UserID-10)
			c := p.theirs(maps(ownLine, specs.LinuxIDMapping{ContainerID: 1, HostID: harness.UserID - 10, Size: 1000}))
			return p.as(p.ordinary(line, line), c.RunArgs()...)
		}, line: "/linux/uidMappings/1/hostID", cause: "54321 is the own ID of who runs bailey, and lies in what /etc/subuid grants (54311 to 55310), too", try: "before and after 54321"},
	{row: 4, name: "no line in /etc/subuid",
		finds: "the user's lines of /etc/subuid", met: "podman#20336, podman#4436",
		run: func(p *place) *harness.Result {
			return p.as(p.ordinary("", harness.Granted()), p.theirs().RunArgs()...)
		},
		line: "/linux/uidMappings", cause: "no line for user 54321 (bailey-test), who may therefore map nothing but 54321", try: `add the line "bailey-test:70000:65536"`},
	{row: 4, name: "the range is another account's",
		finds: "the other lines of /etc/subuid", met: "podman#17336, podman#14489",
		run: func(p *place) *harness.Result {
			return p.as(p.ordinary("somebody:70000:65536\nbailey-test:200000:65536\n", harness.Granted()), p.theirs().RunArgs()...)
		}, line: "/linux/uidMappings", cause: `granted to somebody (the line "somebody:70000:65536")`, try: "usermod --add-subuids"},
	{row: 9, name: "process.user is not mapped",
		finds: "the mapping in config.json", met: "moby#12648, podman#1520",
		run: func(p *place) *harness.Result {
			return p.Container(harness.UserNamespace, func(s *specs.Spec) { s.Process.User.UID = 70000 }).Run()
		}, line: "/process/user/uid", cause: "only the uids 0 to 65535", try: "containerID 70000"},
	{row: 9, name: "an additional group is not mapped",
		finds: "the mapping in config.json", met: "umoci#109, moby#12648",
		run: func(p *place) *harness.Result {
			return p.Container(harness.UserNamespace, func(s *specs.Spec) { s.Process.User.AdditionalGids = []uint32{10, 65536} }).Run()
		}, line: "/process/user/additionalGids/1", cause: "only the gids 0 to 65535", try: "containerID 65536"},
	{row: 9, name: "process.user is not mapped in a user namespace given by path",
		finds: "/proc/PID/uid_map of the process that failed", met: "no thread of its own",
		run: func(p *place) *harness.Result {
			holder := p.Container(harness.UserNamespace)
			holder.Create().OK(p.Env)
			c := p.Container(harness.Joined(specs.UserNamespace, fmt.Sprintf("/proc/%d/ns/user", holder.PID())), harness.Args("true"), func(s *specs.Spec) { s.Process.User.UID = 70000 })
			r := c.Run()
			holder.Delete("--force").OK(p.Env)
			return r
		}, line: "/process/user", cause: "uid 70000 does not exist in the container's user namespace, whose uid_map is \"0 200000 65536\"", try: "use an ID that does"},
	{row: 19, name: "mapping lines that overlap",
		finds: "the mapping in config.json", met: "podman#13149, storage#1127, incus#458, lxc#2410",
		run: func(p *place) *harness.Result {
			return p.Container(newUserNamespace, maps(specs.LinuxIDMapping{HostID: 200000, Size: 1000}, specs.LinuxIDMapping{ContainerID: 1000, HostID: 200999, Size: 10})).Run()
		}, line: "/linux/uidMappings/1/hostID", cause: "200000 to 200999 and 200999 to 201008", try: "shorten"},
	{row: 19, name: "a mapping line of size 0",
		finds: "the mapping in config.json", met: "no thread of its own; the kernel answers as in podman#13149",
		run: func(p *place) *harness.Result {
			return p.Container(newUserNamespace, maps(specs.LinuxIDMapping{HostID: 200000})).Run()
		}, line: "/linux/uidMappings/0/size", cause: "maps nothing", try: "remove the line"},
	{row: 19, name: "341 mapping lines",
		finds: "the mapping in config.json", met: "runtime-spec#693, runtime-spec#689",
		run: func(p *place) *harness.Result {
			var lines []specs.LinuxIDMapping
			for i := range uint32(341) {
				lines = append(lines, specs.LinuxIDMapping{ContainerID: i, HostID: 1000 + 2*i, Size: 1})
			}
			return p.Container(newUserNamespace, maps(lines...)).Run()
		}, line: "341 mapping lines", cause: "UID_GID_MAP_MAX_EXTENTS", try: "join lines"},
	{row: 19, name: "mapping lines of more than a page",
		finds: "the mapping in config.json", met: "no thread of its own; runtime-spec#693 is about the number of lines",
		run: func(p *place) *harness.Result {
			var lines []specs.LinuxIDMapping
			for i := range uint32(300) {
				lines = append(lines, specs.LinuxIDMapping{ContainerID: 1000000 + i, HostID: 1000000 + 2*i, Size: 1})
			}
			return p.Container(newUserNamespace, maps(lines...)).Run()
		}, line: "bytes of text", cause: "less than a page", try: "join lines"},
	{row: 19, name: "IDs that do not exist in the outer user namespace",
		finds: "/proc/self/uid_map", met: "lxd#2885, podman#4056, podman#15419",
		run: func(p *place) *harness.Result {
			c := p.Container(harness.UserNamespace, plain, harness.Args("true"))
			return p.as(harness.Options{Prefix: []string{"unshare", "--user", "--map-root-user", "--mount"}}, nested(c)...)
		}, line: "/linux/gidMappings", cause: "the host IDs 200000 to 265535 do not all exist in the user namespace that bailey runs in", try: "outer container"},
	{row: 19, name: "a mapping line across lines of the outer mapping",
		finds: "/proc/self/uid_map", met: "podman#8816, bst#14",
		run: func(p *place) *harness.Result {
			p.User("root:100000:1000\n", "root:100000:1000\n")
			p.Must(os.Chown(p.Root, 0, 0))
			c := p.Container(newUserNamespace, maps(specs.LinuxIDMapping{Size: 1000}), plain, harness.Args("true"))
			by := harness.Options{Prefix: []string{"unshare", "--user", "--map-root-user", "--map-users=100000,1,1000", "--map-groups=100000,1,1000", "--mount"}}
			return p.as(by, nested(c)...)
		}, line: "/linux/gidMappings", cause: "lie in more than one line of /proc/self/gid_map", try: "split"},
	{row: 19, name: "the ID 0 is mapped without CAP_SETFCAP",
		finds: "CapEff in /proc/self/status", met: "okd#1127, sandstorm#3584, lxc#3827, shadow#334",
		run: func(p *place) *harness.Result {
			c := p.Container(newUserNamespace, maps(specs.LinuxIDMapping{Size: 1000}), harness.Args("true"))
			return p.as(without("setfcap"), c.RunArgs()...)
		}, line: "/linux/uidMappings", cause: "CAP_SETFCAP, which bailey does not have", try: "CAP_SETFCAP"},
	{row: 20, name: "additional groups with a single group",
		finds: "the mapping in config.json and who runs bailey", met: "umoci#109, runtime-spec#1020, shadow#1256",
		run: func(p *place) *harness.Result {
			c := p.theirs(maps(ownLine), oneID, func(s *specs.Spec) { s.Process.User.AdditionalGids = []uint32{0} })
			return p.as(p.granted(), c.RunArgs()...)
		}, line: "/process/user/additionalGids", cause: "denies setgroups", try: "/etc/subgid"},
	{row: 20, name: "no_new_privs takes the helper's privileges",
		finds: "prctl(PR_GET_NO_NEW_PRIVS)", met: "buildkit#1671, rootlesskit#551, podman#21738",
		run: func(p *place) *harness.Result {
			by := p.granted()
			by.Prefix = []string{"setpriv", "--no-new-privs"}
			return p.as(by, p.theirs().RunArgs()...)
		}, line: "newgidmap", cause: "no_new_privs", try: "NoNewPrivileges=no"},
}

// nested are the arguments for a container that is run in a user namespace, where cgroups are not to be had.
func nested(c *harness.Container) []string {
	return append([]string{"--cgroup-manager", "disabled"}, c.RunArgs()...)
}

// without starts commands as root without capabilities.
func without(names ...string) harness.Options {
	var sets string
	for _, n := range names {
		sets += ",-" + n
	}
	return harness.Options{Prefix: []string{"setpriv", "--bounding-set=" + sets[1:], "--inh-caps=" + sets[1:]}}
}
