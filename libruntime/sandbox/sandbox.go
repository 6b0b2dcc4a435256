package sandbox

import (
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/spec"
)

// Defaults of Options.
const (
	DefaultMemory = 1 << 30
	DefaultPids   = 512
)

// Options are the caller's choices; all but Args are optional.
type Options struct {
	// Args is the command.
	Args []string
	// Terminal gives it a terminal of its own.
	Terminal bool
	// ReadOnly, Writable and Temporary are directories to show, to share, and to put an empty filesystem on.
	ReadOnly, Writable, Temporary []string
	// Home shows the caller's home directory, read-only.
	Home bool
	// HostNetwork shares the machine's network.
	HostNetwork bool
	// Capabilities are those that the command keeps.
	Capabilities []string
	// Env are NAME=VALUE, or NAME for the caller's value.
	Env []string
	// Cwd is the working directory; "": the caller's, or where that is not shown the home directory.
	Cwd string
	// User is UID or UID:GID in the sandbox; "": 0.
	User string
	// Hostname is what uname(1) says; "": try.
	Hostname string
	// Memory and Pids are limits; 0: the defaults, where this machine lets the caller set any.
	Memory, Pids uint64
}

// Sandbox is a container to be made.
type Sandbox struct {
	Spec *specs.Spec
	// Foreign are the mounts whose files' owners are nobody in the sandbox, by their index in Spec.
	Foreign map[int]bool
	// OwnIDs: the configuration has no user namespace yet, and is to get one with IDs that no one else has.
	OwnIDs bool
	// Notes say in words what the command is given, and what could not be done.
	Notes []string
}

// New decides what the sandbox is.
func New(o Options) (*Sandbox, error) {
	b := &builder{o: &o, root: os.Geteuid() == 0, view: make(view)}
	b.note("IDs: " + b.ids())
	if err := b.show(); err != nil {
		return nil, err
	}
	user, err := b.user()
	if err != nil {
		return nil, err
	}
	if err := b.executable(); err != nil {
		return nil, err
	}
	env, err := b.environment()
	if err != nil {
		return nil, err
	}
	caps, err := capabilities(o.Capabilities)
	if err != nil {
		return nil, err
	}
	s := &specs.Spec{
		Version:  spec.Example().Version,
		Root:     &specs.Root{Path: "rootfs", Readonly: true},
		Hostname: o.Hostname,
		Process: &specs.Process{
			Terminal: o.Terminal, Args: o.Args, Cwd: b.cwd, User: user, Env: env,
			NoNewPrivileges: true,
			Capabilities:    &specs.LinuxCapabilities{Bounding: caps, Permitted: caps, Effective: caps},
			Rlimits:         []specs.POSIXRlimit{{Type: "RLIMIT_CORE"}},
		},
		Linux: &specs.Linux{Seccomp: spec.SandboxSeccomp(), UIDMappings: b.uids, GIDMappings: b.gids},
	}
	if s.Hostname == "" {
		s.Hostname = "try"
	}
	b.namespaces(s.Linux)
	b.restrict(s.Linux)
	b.limits(s)
	foreign := make(map[int]bool)
	for i, e := range b.view.mounts() {
		s.Mounts = append(s.Mounts, e.mount)
		if e.foreign {
			foreign[i] = true
		}
	}
	if len(caps) > 0 {
		b.note("capabilities: " + strings.Join(caps, ", "))
	}
	return &Sandbox{Spec: s, Foreign: foreign, OwnIDs: b.root, Notes: b.notes}, nil
}

// builder is a sandbox in the making.
type builder struct {
	o     *Options
	root  bool
	view  view
	notes []string
	// home and cwd are the directories in the sandbox.
	home, cwd string
	// uids and gids are the maps of an ordinary user's sandbox.
	uids, gids []specs.LinuxIDMapping
}

func (b *builder) note(text string) { b.notes = append(b.notes, text) }

// namespaces asks for one of each kind. That of time is set to begin now, which hides for how long the machine has been up.
func (b *builder) namespaces(l *specs.Linux) {
	kinds := []specs.LinuxNamespaceType{specs.PIDNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.MountNamespace, specs.CgroupNamespace}
	if b.o.HostNetwork {
		b.note("network: the machine's, with all that listens on its loopback and on abstract Unix sockets")
	} else {
		kinds = append(kinds, specs.NetworkNamespace)
		b.note("network: a loopback of its own and nothing else")
	}
	if !b.root {
		kinds = append(kinds, specs.UserNamespace)
	}
	if offsets := clocks(); offsets != nil {
		kinds = append(kinds, specs.TimeNamespace)
		l.TimeOffsets = offsets
	}
	for _, k := range kinds {
		l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: k})
	}
}

// clocks returns the offsets of clocks that begin now, nil where the kernel has none or they cannot be read.
func clocks() map[string]specs.LinuxTimeOffset {
	if unix.Access("/proc/self/ns/time", unix.F_OK) != nil {
		return nil
	}
	offsets := make(map[string]specs.LinuxTimeOffset)
	for name, clock := range map[string]int32{"monotonic": unix.CLOCK_MONOTONIC, "boottime": unix.CLOCK_BOOTTIME} {
		var now unix.Timespec
		if unix.ClockGettime(clock, &now) != nil {
			return nil
		}
		offsets[name] = specs.LinuxTimeOffset{Secs: -now.Sec}
	}
	return offsets
}

// restrict covers what procfs and sysfs say about the machine as a whole.
func (b *builder) restrict(l *specs.Linux) {
	hardened := spec.ExampleHardened(0, 0, 1).Linux
	l.MaskedPaths, l.ReadonlyPaths = hardened.MaskedPaths, hardened.ReadonlyPaths
}

// user returns whom the command runs as, in the sandbox.
func (b *builder) user() (specs.User, error) {
	umask := uint32(0o022)
	u := specs.User{Umask: &umask}
	if b.o.User == "" {
		return u, nil
	}
	ids, err := parseUser(b.o.User)
	if err != nil {
		return u, err
	}
	u.UID, u.GID = ids[0], ids[1]
	return u, nil
}

// capabilities returns the names in the form of config.json: "chown" is CAP_CHOWN.
func capabilities(names []string) ([]string, error) {
	list := make([]string, 0, len(names))
	for _, n := range names {
		full := "CAP_" + strings.TrimPrefix(strings.ToUpper(n), "CAP_")
		if _, ok := plan.CapabilityNumber(full); !ok {
			return nil, badFlag("cap", n, "is no capability", "see capabilities(7) for their names")
		}
		list = append(list, full)
	}
	return list, nil
}

func badFlag(flag, value, why, remedy string) error {
	return &fault.Error{Step: "read the command line: " + strconv.Quote(value) + " " + why, Origin: "--" + flag, Remedy: remedy}
}
