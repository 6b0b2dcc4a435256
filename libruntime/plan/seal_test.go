package plan

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
)

// box is a configuration with namespaces of its own of every kind but the user namespace, and what change does.
func box(changes ...func(*specs.Spec)) *specs.Spec {
	return small(func(s *specs.Spec) {
		s.Linux.Namespaces = nil
		for _, k := range namespaceKinds {
			if k.kind != UserNS {
				s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: k.name})
			}
		}
		for _, change := range changes {
			change(s)
		}
	})
}

func ownUser(s *specs.Spec) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 1000, HostID: 5000, Size: 5}, {ContainerID: 0, HostID: 7000, Size: 1000}}
	s.Linux.GIDMappings = s.Linux.UIDMappings[1:]
}

func allow(names ...string) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: names} }
}

func namespace(kind specs.LinuxNamespaceType, path string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == kind })
		if path != "" {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: kind, Path: path})
		}
	}
}

func parameter(key, value string) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Linux.Sysctl = map[string]string{key: value} }
}

func TestSealFits(t *testing.T) {
	all := func(f ...func(*specs.Spec)) []func(*specs.Spec) { return f }
	for name, test := range map[string]struct {
		changes []func(*specs.Spec)
		reason  string // "": it fits
	}{
		"no capabilities":                     {nil, ""},
		"capabilities over files and IDs":     {all(allow("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE")), ""},
		"raw sockets":                         {all(allow("CAP_NET_RAW")), "CAP_NET_RAW would have no effect over the net namespace"},
		"raw sockets, with own IDs":           {all(ownUser, allow("CAP_NET_RAW")), "over the net namespace"},
		"raw sockets in a joined namespace":   {all(allow("CAP_NET_RAW"), namespace(specs.NetworkNamespace, "/n")), "over the net namespace"},
		"raw sockets of the machine":          {all(allow("CAP_NET_RAW"), namespace(specs.NetworkNamespace, "")), "over the machine's net namespace"},
		"raw sockets of the machine, own IDs": {all(ownUser, allow("CAP_NET_RAW"), namespace(specs.NetworkNamespace, "")), ""},
		"low ports":                           {all(allow("CAP_NET_BIND_SERVICE")), "CAP_NET_BIND_SERVICE"},
		"low ports for everybody":             {all(allow("CAP_NET_BIND_SERVICE"), parameter("net.ipv4.ip_unprivileged_port_start", "0")), ""},
		"some low ports for everybody":        {all(allow("CAP_NET_BIND_SERVICE"), parameter("net.ipv4.ip_unprivileged_port_start", "80")), "CAP_NET_BIND_SERVICE"},
		"device nodes":                        {all(allow("CAP_MKNOD")), "CAP_MKNOD would have no effect over the machine"},
		"device nodes, with own IDs":          {all(ownUser, allow("CAP_MKNOD", "CAP_AUDIT_WRITE", "CAP_SYS_TIME")), ""},
		"everything":                          {all(ownUser, allow("CAP_SYS_ADMIN")), "CAP_SYS_ADMIN"},
		"reboot":                              {all(ownUser, allow("CAP_SYS_BOOT")), "CAP_SYS_BOOT would have no effect over the pid namespace"},
		"shared memory":                       {all(ownUser, allow("CAP_IPC_OWNER")), "CAP_IPC_OWNER would have no effect over the ipc namespace"},
		"signals to the machine":              {all(allow("CAP_KILL"), namespace(specs.PIDNamespace, "")), "CAP_KILL would have no effect over processes outside"},
		"the ambient set": {all(func(s *specs.Spec) {
			s.Process.Capabilities = &specs.LinuxCapabilities{Ambient: []string{"CAP_NET_ADMIN"}}
		}), "CAP_NET_ADMIN"},
		"the machine's mounts":     {all(namespace(specs.MountNamespace, "")), "no mount namespace"},
		"joined mounts":            {all(namespace(specs.MountNamespace, "/m")), "no mount namespace"},
		"joined IDs":               {all(namespace(specs.UserNamespace, "/u")), "joins a user namespace"},
		"a shared root":            {all(func(s *specs.Spec) { s.Linux.RootfsPropagation = "rshared" }), "rootfsPropagation"},
		"an unbindable mount":      {all(withMount(specs.Mount{Destination: "/a", Type: "tmpfs", Source: "x", Options: []string{"runbindable"}})), "the mount on /a"},
		"the machine's procfs":     {all(withMount(specs.Mount{Destination: "/a", Type: "bind", Source: "/proc/"})), "without masks"},
		"the machine's everything": {all(withMount(specs.Mount{Destination: "/a", Source: "/", Options: []string{"rbind", "ro"}})), "without masks"},
		"the machine's root alone": {all(withMount(specs.Mount{Destination: "/a", Source: "/", Options: []string{"bind"}})), ""},
		"a pod's sandbox": {all(ownUser, func(s *specs.Spec) {
			s.Annotations = map[string]string{"io.kubernetes.cri.container-type": "sandbox"}
		}), "a pod's sandbox"},
		"a shared mount":       {all(withMount(specs.Mount{Destination: "/a", Type: "bind", Source: "/a", Options: []string{"rbind", "rshared"}})), "the mount on /a"},
		"nested containers":    {all(ownUser, parameter("user/max_user_namespaces", "5")), "allows user namespaces"},
		"no nested containers": {all(ownUser, parameter("user.max_user_namespaces", "0")), ""},
	} {
		fits, reason := SealFits(box(test.changes...))
		if fits != (test.reason == "") || !strings.Contains(reason, test.reason) {
			t.Errorf("%s: %v, %q", name, fits, reason)
		}
	}
}

// Every capability is either one that loses something in a sealed container, or listed here as one that does not.
func TestSealLossesAreWhole(t *testing.T) {
	keeps := []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
		"CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SETFCAP"}
	for n, name := range capabilityNames {
		losses := sealLosses(box(allow(name)))
		if (len(losses) == 0) != slices.Contains(keeps, name) {
			t.Errorf("%s: %v", name, losses)
		}
		for over, set := range losses {
			if set != 1<<n {
				t.Errorf("%s: %s loses %#x", name, over, set)
			}
		}
	}
}

func TestIdentity(t *testing.T) {
	for _, test := range []struct{ maps, want []IDMapping }{
		{nil, []IDMapping{{0, 0, 1<<32 - 1}}},
		{[]IDMapping{{0, 1000, 1}}, []IDMapping{{0, 0, 1}}},
		{[]IDMapping{{1, 70000, 65536}, {0, 1000, 1}}, []IDMapping{{1, 1, 65536}, {0, 0, 1}}},
		{[]IDMapping{{0, 0, 1<<32 - 1}}, []IDMapping{{0, 0, 1<<32 - 1}}},
	} {
		if got := identity(test.maps); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%v: %v, want %v", test.maps, got, test.want)
		}
	}
}

// sealOf returns the operation that locks the mounts.
func sealOf(t *testing.T, s *specs.Spec, o Options) Seal {
	t.Helper()
	p, err := Compile(s, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range p.Check() {
		t.Error(err)
	}
	seals := find[Seal](p.Ops)
	return p.Ops[seals[len(seals)-1]].Action.(Seal)
}

// What linux.sysctl limits is limited by the seal, and not before, when it would be in its way.
func TestSealTakesLimitsOver(t *testing.T) {
	o := machine()
	o.Seal, o.NamespaceLimits = true, map[Namespace]uint32{NetworkNS: 7, PIDNS: 2}
	s := box(ownUser)
	s.Linux.Sysctl = map[string]string{"user.max_user_namespaces": "0", "user/max_mnt_namespaces": "0", "user.max_net_namespaces": " 3\n",
		"user.max_inotify_watches": "5"}
	want := []NamespaceLimit{{UserNS, 0}, {PIDNS, 2}, {NetworkNS, 3}, {CgroupNS, 0}, {MountNS, 0}}
	if got := sealOf(t, s, o).Limits; !reflect.DeepEqual(got, want) {
		t.Errorf("limits %v, want %v", got, want)
	}
	p, err := Compile(s, o)
	if err != nil {
		t.Fatal(err)
	}
	if early := find[WriteSysctl](p.Ops); len(early) != 1 || p.Ops[early[0]].Action.(WriteSysctl).Key != "user/max_inotify_watches" {
		t.Errorf("written early: %v", early)
	}
}

// So is what only limits are asked for: the lower ones hold, whoever asks.
func TestLimitsOfBoth(t *testing.T) {
	o := machine()
	o.NamespaceLimits = map[Namespace]uint32{UserNS: 5, NetworkNS: 1}
	s := box(ownUser)
	s.Linux.Sysctl = map[string]string{"user.max_user_namespaces": "0", "user.max_net_namespaces": "3"}
	p, err := Compile(s, o)
	if err != nil {
		t.Fatal(err)
	}
	i := indexOf[LimitNamespaces](p.Ops)
	if got := p.Ops[i].Action.(LimitNamespaces).Limits; !reflect.DeepEqual(got, []NamespaceLimit{{UserNS, 0}, {NetworkNS, 1}}) {
		t.Errorf("limits %v", got)
	}
}

func TestConfinementRefused(t *testing.T) {
	limit := func(kind Namespace, most uint32) func(*Options) {
		return func(o *Options) { o.NamespaceLimits = map[Namespace]uint32{kind: most} }
	}
	sealing := func(change func(*Options)) func(*Options) {
		return func(o *Options) { change(o); o.Seal = true }
	}
	for name, test := range map[string]struct {
		config func(*specs.Spec)
		o      func(*Options)
		step   string
		reason error
	}{
		"a number for the machine's namespace": {func(*specs.Spec) {}, limit(NetworkNS, 1), "limit net namespaces to 1", errNotPermitted},
		"a number for a joined namespace":      {namespace(specs.UserNamespace, "/u"), limit(UserNS, 1), "limit user namespaces to 1", errNotPermitted},
		"nobody made the filter":               {func(*specs.Spec) {}, limit(UserNS, 0), "deny namespaces", errMissing},
		"too large a number":                   {ownUser, limit(UserNS, 1<<31), "limit user namespaces to 2147483648", errInvalid},
		"no kind of namespace":                 {ownUser, limit(1, 0), "limit namespaces", errInvalid},
		"a seal with user namespaces":          {ownUser, sealing(limit(UserNS, 1)), "limit user namespaces to 1", errNotPermitted},
		"a seal with cgroup namespaces":        {ownUser, sealing(limit(CgroupNS, 3)), "limit cgroup namespaces to 3", errNotPermitted},
		"a seal with a wish for them":          {func(s *specs.Spec) { ownUser(s); parameter("user.max_user_namespaces", "9")(s) }, sealing(limit(NetworkNS, 1)), "limit user namespaces to 9", errNotPermitted},
		"a seal of the machine's mounts":       {namespace(specs.MountNamespace, ""), sealing(func(*Options) {}), "seal the container", errNotPermitted},
		"a seal without pivot_root":            {func(*specs.Spec) {}, sealing(func(o *Options) { o.NoPivot = true }), "seal the container", errNotPermitted},
		"a seal of joined mounts":              {namespace(specs.MountNamespace, "/m"), sealing(func(*Options) {}), "seal the container", errNotPermitted},
		"a seal in an unknown namespace":       {namespace(specs.UserNamespace, "/u"), sealing(func(*Options) {}), "seal the container", errMissing},
	} {
		o := machine()
		test.o(&o)
		_, err := Compile(box(test.config), o)
		var f *fault.Error
		if !errors.As(err, &f) || f.Step != test.step || !errors.Is(f.Err, test.reason) || f.Cause == "" && f.Remedy == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The seal of a container that loses something by it says so, by capability and what it was over.
func TestSealWarns(t *testing.T) {
	o := machine()
	o.Seal = true
	p, err := Compile(box(ownUser, allow("CAP_NET_RAW", "CAP_CHOWN", "CAP_SYS_BOOT")), o)
	if err != nil {
		t.Fatal(err)
	}
	const want = "config.json /process/capabilities: in the sealed container these have no effect over the net namespace: " +
		"CAP_NET_RAW; over the pid namespace: CAP_SYS_BOOT"
	if !slices.Equal(p.Warnings, []string{want}) {
		t.Errorf("%q", p.Warnings)
	}
}
