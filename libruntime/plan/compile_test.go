package plan

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// small returns a valid configuration that a test changes.
func small(change func(*specs.Spec)) *specs.Spec {
	s := &specs.Spec{Version: "1.3.0", Root: &specs.Root{Path: "rootfs"},
		Process: &specs.Process{Args: []string{"sh"}, Env: []string{"PATH=/bin"}, Cwd: "/"},
		Linux:   &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.PIDNamespace}}}}
	change(s)
	return s
}

func withMount(m specs.Mount) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Mounts = []specs.Mount{m} }
}

// A kernel without SELinux takes linux.mountLabel for an unknown parameter of the filesystem.
func TestMountLabel(t *testing.T) {
	for _, without := range []bool{false, true} {
		s := small(withMount(specs.Mount{Destination: "/a", Type: "tmpfs", Source: "tmpfs"}))
		s.Linux.MountLabel = "a:b:c:s0"
		o := machine()
		o.NoMountLabel = without
		p, err := Compile(s, o)
		if err != nil {
			t.Fatal(err)
		}
		labelled := slices.ContainsFunc(p.Ops, func(op Op) bool {
			fs, ok := op.Action.(NewFilesystem)
			return ok && slices.Contains(fs.Options, "context=a:b:c:s0")
		})
		if labelled == without {
			t.Errorf("NoMountLabel %v: labelled %v", without, labelled)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		config func(*specs.Spec)
		o      func(*Options)
		origin string
		reason error
	}{
		"no process": {func(s *specs.Spec) { s.Process = nil }, nil, "/process/args", errMissing},
		"an ordinary user's without a user namespace": {func(*specs.Spec) {}, func(o *Options) { o.Unprivileged = true }, "/linux/namespaces", errNotPermitted},
		"no PATH":            {func(s *specs.Spec) { s.Process.Env = nil }, nil, "/process/args/0", errNotFound},
		"only relative":      {func(s *specs.Spec) { s.Process.Env = []string{"PATH=/bin", "PATH=.:bin:"} }, nil, "/process/args/0", errNotFound},
		"idmap of a remount": {withMount(specs.Mount{Destination: "/a", Options: []string{"remount", "idmap=uids=0-1-1;gids=0-1-1"}}), nil, "/mounts/0", errInvalid},
		"half an idmap":      {withMount(specs.Mount{Destination: "/a", Type: "bind", Source: "/a", Options: []string{"idmap=uids=0-1-1"}}), nil, "/mounts/0", errInvalid},
		"nothing to do":      {withMount(specs.Mount{Destination: "/a", Type: "none", Options: []string{"ro"}}), nil, "/mounts/0", errInvalid},
		"proc elsewhere":     {withMount(specs.Mount{Destination: "/mnt/proc", Type: "proc"}), nil, "/mounts/0", errInvalid},
		"sysfs elsewhere":    {withMount(specs.Mount{Destination: "/sys2", Type: "sysfs"}), nil, "/mounts/0", errInvalid},
		"tmpfs on /proc":     {withMount(specs.Mount{Destination: "/proc/../proc/", Type: "tmpfs"}), nil, "/mounts/0", errInvalid},
		"bind in /proc":      {withMount(specs.Mount{Destination: "/proc/self/attr", Type: "bind", Source: "/a"}), nil, "/mounts/0", errInvalid},
		"tmpfs in /proc":     {withMount(specs.Mount{Destination: "proc/uptime", Type: "tmpfs"}), nil, "/mounts/0", errInvalid},
		"copyup of a bind":   {withMount(specs.Mount{Destination: "/a", Type: "bind", Source: "/a", Options: []string{"tmpcopyup"}}), nil, "/mounts/0", errInvalid},
		"long parameter":     {withMount(specs.Mount{Destination: "/a", Type: "tmpfs", Options: []string{"mpol=" + strings.Repeat("a", 256)}}), nil, "/mounts/0", errInvalid},
		"long layers":        {withMount(specs.Mount{Destination: "/a", Type: "overlay", Options: []string{"lowerdir=" + strings.Repeat("a", 4096)}}), nil, "/mounts/0", errInvalid},
		"no cgroup to show": {withMount(specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup"}),
			func(o *Options) { o.CgroupMounts = nil }, "/mounts/0", errMissing},
		"a filter nobody compiled": {func(s *specs.Spec) { s.Linux.Seccomp = &specs.LinuxSeccomp{} }, nil, "/linux/seccomp", errMissing},
		"a filter nobody may load": {func(s *specs.Spec) { s.Linux.Seccomp = &specs.LinuxSeccomp{} },
			func(o *Options) { o.Held, o.SeccompProgram = 0, make([]byte, 8) }, "/linux/seccomp", errNotPermitted},
		"no descriptor to wait with": {func(s *specs.Spec) {
			s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 3, Hard: 3}}
		}, nil, "/process/rlimits/0", errInvalid},
		"denied groups": {func(s *specs.Spec) { s.Process.User.AdditionalGids = []uint32{1} },
			func(o *Options) { o.SetgroupsDenied = true }, "/process/user/additionalGids", errNotPermitted},
		"others' groups": {func(s *specs.Spec) { s.Annotations = map[string]string{keepGroupsAnnotation: "1"} },
			func(o *Options) { o.OwnIDs = true }, "/annotations/run.oci.keep_original_groups", errNotPermitted},
	} {
		o := machine()
		if test.o != nil {
			test.o(&o)
		}
		p, err := Compile(small(test.config), o)
		var f *fault.Error
		switch {
		case err == nil:
			t.Errorf("%s: allowed:\n%s", name, p.Text())
		case !errors.As(err, &f):
			t.Errorf("%s: %T is not a *fault.Error", name, err)
		case f.Origin != test.origin || !errors.Is(err, test.reason):
			t.Errorf("%s: %v, want the origin %s and the reason %v", name, err, test.origin, test.reason)
		}
	}
}

// compiled returns the plan of a configuration that must be allowed.
func compiled(t *testing.T, s *specs.Spec, o Options) *Plan {
	t.Helper()
	p, err := Compile(s, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range p.Check() {
		t.Error(err)
	}
	return p
}

// first returns the first action of a kind.
func first[T Action](t *testing.T, p *Plan) T {
	t.Helper()
	i := indexOf[T](p.Ops)
	if i < 0 {
		var a T
		t.Fatalf("no %s in\n%s", kind(a), p.Text())
	}
	return p.Ops[i].Action.(T)
}

func TestCapabilities(t *testing.T) {
	const kill, chown, admin, future = 1 << 5, 1 << 0, 1 << 21, 1 << 40
	for name, test := range map[string]struct {
		caps     *specs.LinuxCapabilities
		held     uint64
		lastCap  int
		bounding uint64
		want     SetCapabilities
	}{
		"none given":    {nil, allCapabilities, 40, 0, SetCapabilities{}},
		"as they stand": {&specs.LinuxCapabilities{Bounding: []string{"CAP_KILL", "CAP_CHOWN"}, Permitted: []string{"CAP_KILL", "CAP_CHOWN"}, Effective: []string{"CAP_KILL"}}, allCapabilities, 40, kill | chown, SetCapabilities{Permitted: kill | chown, Effective: kill}},
		"unknown names": {&specs.LinuxCapabilities{Bounding: []string{"CAP_KILL", "CAP_NO", "cap_chown"}}, allCapabilities, 40, kill, SetCapabilities{}},
		"older kernel":  {&specs.LinuxCapabilities{Bounding: []string{"CAP_CHECKPOINT_RESTORE", "CAP_KILL"}}, allCapabilities, 39, kill, SetCapabilities{}},
		"newest kernel": {&specs.LinuxCapabilities{Bounding: []string{"CAP_CHECKPOINT_RESTORE"}}, allCapabilities, 40, future, SetCapabilities{}},
		"a limit is no wish": {&specs.LinuxCapabilities{Bounding: []string{"CAP_KILL", "CAP_SYS_ADMIN"}}, kill, 40, kill,
			SetCapabilities{}},
		"what the kernel would refuse": {&specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}, Permitted: []string{"CAP_KILL", "CAP_CHOWN"}, Effective: []string{"CAP_KILL", "CAP_SYS_ADMIN"}, Inheritable: []string{"CAP_CHOWN"}, Ambient: []string{"CAP_KILL"}},
			allCapabilities, 40, kill, SetCapabilities{Permitted: kill, Effective: kill}},
		"ambient": {&specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}, Permitted: []string{"CAP_KILL"}, Inheritable: []string{"CAP_KILL"}, Ambient: []string{"CAP_KILL"}},
			admin | kill, 40, kill, SetCapabilities{Permitted: kill, Inheritable: kill, Ambient: kill}},
	} {
		o := machine()
		o.Held, o.LastCap = test.held, test.lastCap
		p := compiled(t, small(func(s *specs.Spec) { s.Process.Capabilities = test.caps }), o)
		if got := first[DropBounding](t, p).Keep; got != test.bounding {
			t.Errorf("%s: bounding set %#x, want %#x", name, got, test.bounding)
		}
		if got := first[SetCapabilities](t, p); got != test.want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, test.want)
		}
	}
}

func TestUserNamespaceHoldsEveryCapability(t *testing.T) {
	o := machine()
	o.Held = 0
	p := compiled(t, small(func(s *specs.Spec) {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}, Permitted: []string{"CAP_KILL"}}
	}), o)
	if got := first[DropBounding](t, p).Keep; got != 1<<5 {
		t.Errorf("bounding set %#x", got)
	}
}

// Loading a filter takes no_new_privs or CAP_SYS_ADMIN; what is in force for that alone must be where no exec
// takes it along.
func TestSeccompWithoutNoNewPrivileges(t *testing.T) {
	o := machine()
	o.SeccompProgram = make([]byte, 16)
	for _, noNewPrivileges := range []bool{true, false} {
		for _, admin := range []bool{true, false} {
			p := compiled(t, small(func(s *specs.Spec) {
				s.Process.NoNewPrivileges = noNewPrivileges
				if admin {
					all := []string{"CAP_SYS_ADMIN"}
					s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Permitted: all, Effective: all}
				}
			}), o)
			sets := first[SetCapabilities](t, p)
			if got, want := sets.Effective&capSysAdmin != 0, admin || !noNewPrivileges; got != want {
				t.Errorf("noNewPrivileges %v, CAP_SYS_ADMIN %v: in force when the filter is loaded: %v", noNewPrivileges, admin, got)
			}
			beyond := first[DropBounding](t, p).Keep | sets.Inheritable | sets.Ambient
			if got := beyond&capSysAdmin != 0; got != admin {
				t.Errorf("noNewPrivileges %v, CAP_SYS_ADMIN %v: an exec takes it along: %v", noNewPrivileges, admin, got)
			}
		}
	}
}

func TestCandidates(t *testing.T) {
	for _, test := range []struct {
		name string
		env  []string
		want []string
	}{
		{"/bin/sh", nil, []string{"/bin/sh"}},
		{"./x", nil, []string{"./x"}},
		{"sh", []string{"PATH=/usr/bin:/bin/:/"}, []string{"/usr/bin/sh", "/bin/sh", "/sh"}},
		{"sh", []string{"PATH=/old", "XPATH=/x", "PATH=/new"}, []string{"/new/sh"}},
		{"sh", []string{"PATH=:.:bin:/bin"}, []string{"/bin/sh"}},
	} {
		p := compiled(t, small(func(s *specs.Spec) { s.Process.Args[0], s.Process.Env = test.name, test.env }), machine())
		if got := first[Exec](t, p).Candidates; !slices.Equal(got, test.want) {
			t.Errorf("%s in %q: %q, want %q", test.name, test.env, got, test.want)
		}
	}
}

func TestReadOnlyIsLateWhereFilesAreMade(t *testing.T) {
	p := compiled(t, small(func(s *specs.Spec) {
		s.Mounts = []specs.Mount{
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"ro", "mode=755"}},
			{Destination: "/run", Type: "tmpfs", Source: "tmpfs", Options: []string{"rro", "tmpcopyup"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"ro"}},
			{Destination: "/d", Type: "ext4", Source: "/dev/vdb", Options: []string{"ro"}},
		}
	}), machine())
	devices := find[MakeDevice](p.Ops)
	late := map[Slot]bool{}
	for _, i := range find[SetMountAttributes](p.Ops) {
		if a := p.Ops[i].Action.(SetMountAttributes); a.Set == unix.MOUNT_ATTR_RDONLY && i > devices[len(devices)-1] {
			late[a.Slot] = true
		}
	}
	if !late["mount/0"] || !late["mount/1"] || len(late) != 2 {
		t.Errorf("made read-only late: %v, want mount/0 and mount/1", late)
	}
	for _, i := range find[NewFilesystem](p.Ops) {
		a := p.Ops[i].Action.(NewFilesystem)
		mount := a.Attributes&unix.MOUNT_ATTR_RDONLY != 0
		superblock := slices.Contains(a.Options, "ro")
		if want := a.Type != "tmpfs"; mount != want || superblock != (a.Type == "ext4") {
			t.Errorf("%s: read-only mount %v, superblock %v", a.Type, mount, superblock)
		}
	}
	attach := find[Attach](p.Ops)
	dev, run := p.Ops[attach[0]].Action.(Attach), p.Ops[attach[1]].Action.(Attach)
	if dev.KeepMode || !run.KeepMode || !run.CopyUp {
		t.Errorf("/dev: %+v, /run: %+v", dev, run)
	}
}

func TestBindSourcesStartAtTheBundle(t *testing.T) {
	p := compiled(t, small(withMount(specs.Mount{Destination: "/a", Type: "bind", Source: "x/../y"})), machine())
	i := find[OpenTree](p.Ops)[1]
	// Not cleaned: x may be a symbolic link.
	if got := p.Ops[i].Action.(OpenTree); got.Path != "/bundle/x/../y" || got.Recursive {
		t.Errorf("%+v", got)
	}
}

func TestPathsBelowProcAndSysFollowNoLinks(t *testing.T) {
	p := compiled(t, small(func(s *specs.Spec) {
		s.Mounts = []specs.Mount{
			{Destination: "/proc", Type: "bind", Source: "/proc", Options: []string{"rbind"}},
			{Destination: "/proc/uptime", Type: "bind", Source: "/u"},
			{Destination: "/sys/fs/cgroup", Type: "cgroup"},
			{Destination: "/system", Type: "tmpfs"},
		}
	}), machine())
	for _, i := range find[Attach](p.Ops) {
		a := p.Ops[i].Action.(Attach)
		if want := a.Path != "/system"; a.NoSymlinks != want {
			t.Errorf("%s: NoSymlinks %v", a.Path, a.NoSymlinks)
		}
	}
	if a := p.Ops[find[OpenTree](p.Ops)[1]].Action.(OpenTree); a.Filesystem != "proc" {
		t.Errorf("what is bound on /proc may be anything: %+v", a)
	}
}

func TestCgroupsOfTheHostAreReadOnly(t *testing.T) {
	p := compiled(t, small(withMount(specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Options: []string{"rw"}})), machine())
	for _, i := range find[SetMountAttributes](p.Ops) {
		if a := p.Ops[i].Action.(SetMountAttributes); a.Slot == "mount/0" {
			if a.Set&unix.MOUNT_ATTR_RDONLY == 0 || a.Clear&unix.MOUNT_ATTR_RDONLY != 0 {
				t.Errorf("%+v", a)
			}
			return
		}
	}
	t.Error("the mount's attributes are not set")
}

func TestNoDevicesUnderABoundDev(t *testing.T) {
	p := compiled(t, small(func(s *specs.Spec) {
		s.Mounts = []specs.Mount{{Destination: "/dev/", Source: "/dev", Options: []string{"rbind"}}}
		s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229}}
	}), machine())
	if n := len(find[MakeDevice](p.Ops)) + len(find[MakeSymlink](p.Ops)); n != 0 {
		t.Errorf("%d things are made in the host's /dev:\n%s", n, p.Text())
	}
}

func TestConfiguredDeviceReplacesTheDefault(t *testing.T) {
	p := compiled(t, small(func(s *specs.Spec) {
		s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/null", Type: "c", Major: 1, Minor: 3}}
	}), machine())
	if n := len(find[MakeDevice](p.Ops)); n != len(defaultDevices) {
		t.Errorf("%d devices", n)
	}
}

func TestManyDescriptorsAreSentInParts(t *testing.T) {
	p := compiled(t, small(func(s *specs.Spec) {
		for range 500 {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/a", Type: "bind", Source: "/a"})
		}
	}), machine())
	sent := 0
	for _, i := range find[SendDescriptors](p.Ops) {
		n := len(p.Ops[i].Action.(SendDescriptors).Slots)
		if n > maxSent {
			t.Errorf("%d descriptors at once", n)
		}
		sent += n
	}
	if sent != 502 {
		t.Errorf("%d descriptors are sent, want 500 mounts, the root and the listener", sent)
	}
}

func TestExecOriginsNameTheProcess(t *testing.T) {
	s := small(func(*specs.Spec) {})
	_, err := CompileExec(&specs.Process{Args: []string{"x"}, Cwd: "/"}, s, ExecOptions{LastCap: 40})
	if err == nil || !strings.Contains(err.Error(), "(process /args/0)") || !strings.Contains(err.Error(), "executable file not found in $PATH") {
		t.Errorf("got %v", err)
	}
	if _, err = CompileExec(&specs.Process{}, s, ExecOptions{}); err == nil {
		t.Error("nothing to execute is allowed")
	}
}

func TestControlCharactersAreEscaped(t *testing.T) {
	p := compiled(t, small(func(s *specs.Spec) { s.Process.Args = []string{"/x", "\x1b[2J", "a\xffb\u009b", "ü"} }), machine())
	text := p.Text()
	if !strings.Contains(text, `\x1b[2J a\xffb\x9b ü`) {
		t.Errorf("got %s", text[strings.LastIndex(text, "execute"):])
	}
}

// What bailey does not hold itself cannot be granted, which is a warning.
func TestCapabilityThatIsNotHeld(t *testing.T) {
	o := machine()
	o.Held = 1 << 5
	names := []string{"CAP_KILL", "CAP_SYS_RESOURCE"}
	p, err := Compile(small(func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: names, Permitted: names, Effective: names}
	}), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Warnings) != 1 || !strings.HasPrefix(p.Warnings[0], `config.json /process/capabilities/permitted/1: capability "CAP_SYS_RESOURCE"`) {
		t.Errorf("warnings: %q", p.Warnings)
	}
	for _, op := range p.Ops {
		if a, ok := op.Action.(SetCapabilities); ok && (a.Permitted != o.Held || a.Effective != o.Held) {
			t.Errorf("granted: %+v", a)
		}
	}
	if p, err = Compile(small(func(*specs.Spec) {}), machine()); err != nil || p.Warnings != nil {
		t.Errorf("without a reason: %q, %v", p.Warnings, err)
	}
}
