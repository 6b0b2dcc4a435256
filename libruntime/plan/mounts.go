package plan

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// maxParameter is the longest value that fsconfig(2) takes, in bytes (fs/fsopen.c), maxOptions that of all options of mount(2).
const (
	maxParameter = 255
	maxOptions   = 4095
)

// mountJob is one element of mounts on its way into the plan.
type mountJob struct {
	*specs.Mount
	options parsedOptions
	// destination is absolute and clean; slot is the mount's.
	destination string
	slot        Slot
	// idmap is the user namespace of its ID mapping, or ""; mapSource: it is the container's own new one.
	idmap     Slot
	mapSource bool
	// unmapped: see Options.Unmapped.
	unmapped bool
	origin   string
}

// fault returns an error about the mount.
func (m *mountJob) fault(reason error, cause, remedy string) error {
	return &fault.Error{Step: "mount " + m.title() + " on " + m.destination, Origin: m.origin,
		Err: reason, Cause: cause, Remedy: remedy}
}

// title names the mount for a person.
func (m *mountJob) title() string {
	if m.isBind() {
		return m.Source
	}
	return m.Type
}

func (m *mountJob) isBind() bool { return IsBind(m.Mount) }

// IsBind reports whether a mount of config.json is a bind mount.
func IsBind(m *specs.Mount) bool {
	return m.Type == "bind" || slices.Contains(m.Options, "bind") || slices.Contains(m.Options, "rbind")
}

// inside reports whether the destination is dir or below it.
func (m *mountJob) inside(dir string) bool {
	return m.destination == dir || strings.HasPrefix(m.destination, dir+"/")
}

// mount adds mounts[i].
func (c *compiler) mount(i int) error {
	m := &mountJob{Mount: &c.spec.Mounts[i], origin: at("/mounts", i), slot: Slot("mount/" + strconv.Itoa(i))}
	m.options = parseMountOptions(m.Options)
	m.unmapped = c.o.Unmapped[i]
	// A relative destination starts at the root; config.md allows it for old configurations.
	m.destination = path.Clean("/" + m.Destination)
	if err := checkProc(m); err != nil {
		return err
	}
	var err error
	if m.idmap, err = c.idmapped(m); err != nil {
		return err
	}
	if m.options.copyUp && m.Type != "tmpfs" {
		return m.fault(errInvalid, "tmpcopyup fills a new tmpfs with what it covers", "use the type tmpfs")
	}
	switch {
	case m.options.remount:
		c.remount(m, m.options.mount, false)
		c.remount(m, m.options.tree, true)
		return nil
	case m.options.propagationOnly(m.Type):
		for _, p := range m.options.propagation {
			c.add(RemountInPlace{Path: m.destination, Propagation: p.kind, Recursive: p.recursive}, m.origin)
		}
		return nil
	case m.options.copyLink && c.o.SourceLinks[i] != "":
		c.add(MakeSymlink{Path: m.destination, Target: c.o.SourceLinks[i], Exact: true}, m.origin)
		return nil
	case m.isBind():
		c.bindMount(m)
		return nil
	case m.Type == "cgroup", m.Type == "cgroup2":
		return c.cgroupMount(m)
	case m.Type == "" || m.Type == "none":
		return m.fault(errInvalid, "it has no filesystem's type and no option that says what to do without one",
			"give it a type, or one of the options bind, rbind, remount, or a propagation")
	}
	return c.newMount(m)
}

// remount changes attributes of what is mounted already; the superblock's flags and parameters are not
// touched, and "remount" alone changes nothing.
func (c *compiler) remount(m *mountJob, a attributes, recursive bool) {
	if !a.isZero() {
		c.add(RemountInPlace{Path: m.destination, Set: a.set, Clear: a.clear, Recursive: recursive}, m.origin)
	}
}

// newMount adds a mount of a new filesystem.
func (c *compiler) newMount(m *mountJob) error {
	fs := NewFilesystem{Slot: m.slot, Type: m.Type, Source: m.Source, Options: m.options.parameters,
		Attributes: m.options.all().set}
	long := false
	for _, o := range fs.Options {
		if _, value, _ := strings.Cut(o, "="); len(value) > maxParameter {
			if long = m.Type == "overlay" && !c.o.Unprivileged; long {
				continue
			}
			return m.fault(errInvalid, "the kernel takes values of at most 255 bytes for the parameter of a "+
				"filesystem, and this one has "+strconv.Itoa(len(value))+": "+o, "use shorter paths")
		}
	}
	fs.Options = c.labelled(m.Type, fs.Options)
	attach := Attach{Slot: m.slot, Path: m.destination, Create: CreateDirectory,
		NoSymlinks: m.inside("/proc") || m.inside("/sys"), NoFollow: m.options.coverLink, CopyUp: m.options.copyUp}
	if m.Type == "tmpfs" {
		// Without a mode of its own it gets that of what it covers, so that /tmp stays a /tmp.
		attach.KeepMode = !slices.ContainsFunc(fs.Options, func(o string) bool { return strings.HasPrefix(o, "mode=") })
	}
	if fs.Attributes&unix.MOUNT_ATTR_RDONLY != 0 {
		switch {
		case m.Type == "tmpfs" || m.destination == "/dev":
			// Others make files in there yet.
			fs.Attributes &^= unix.MOUNT_ATTR_RDONLY
			c.late = append(c.late, Op{SetMountAttributes{Slot: m.slot, Set: unix.MOUNT_ATTR_RDONLY}, m.origin})
		case !sharesSuperblock(m.Type) && !long:
			fs.Options = append(slices.Clip(fs.Options), "ro")
		}
	}
	outside, err := c.outside(m)
	if err != nil {
		return err
	}
	switch {
	case outside != nil:
		outside.Attributes = fs.Attributes
		c.open(m.slot, *outside, m.origin)
	case long:
		if n := len(strings.Join(fs.Options, ",")); n > maxOptions {
			return m.fault(errInvalid, "the kernel takes at most 4095 bytes of options for a mount, and these have "+strconv.Itoa(n), "use shorter paths")
		}
		c.open(m.slot, NewOverlay{Slot: m.slot, Source: m.Source, Options: fs.Options, Attributes: fs.Attributes}, m.origin)
	default:
		c.add(fs, m.origin)
	}
	if m.idmap != "" {
		c.add(MapOwners{Slot: m.slot, IDMap: m.idmap}, m.origin)
	}
	for _, p := range m.options.propagation {
		c.add(SetMountAttributes{Slot: m.slot, Propagation: p.kind, Recursive: p.recursive}, m.origin)
	}
	c.add(attach, m.origin)
	if m.Type == "devpts" && m.destination == "/dev/pts" {
		c.devpts = m.slot
	}
	return nil
}

// sharesSuperblock reports whether the filesystem's superblock may be one that others use, too. Its
// read-only flag is not the container's to set then: the sysfs of a pod's network namespace, mounted
// read-only by its first container, could not be written to by any other.
func sharesSuperblock(fsType string) bool {
	switch fsType {
	case "proc", "sysfs", "mqueue", "devpts", "devtmpfs", "cgroup", "cgroup2", "securityfs", "debugfs",
		"tracefs", "bpf", "configfs":
		return true
	}
	return false
}

// labelled returns the options with linux.mountLabel among them, where the filesystem can have a label for
// all of its files. The kernel labels the others itself.
func (c *compiler) labelled(fsType string, options []string) []string {
	label := c.spec.Linux.MountLabel
	if label == "" || c.o.NoMountLabel || fsType == "proc" || fsType == "mqueue" || fsType == "sysfs" {
		return options
	}
	if slices.ContainsFunc(options, func(o string) bool { return strings.HasPrefix(o, "context=") }) {
		return options
	}
	return append(slices.Clip(options), "context="+label)
}

// bindMount adds a bind mount. Only attributes that an option names are changed, the others stay those of
// the source: a source that is nosuid on the host is nosuid in the container.
func (c *compiler) bindMount(m *mountJob) {
	open := OpenTree{Slot: m.slot, Path: c.inBundle(m.Source), Recursive: m.options.recursive,
		NoFollow: m.options.noFollow, IDMap: m.idmap, IDMapRecursive: m.options.idmap.recursive}
	if m.destination == "/proc" {
		open.Filesystem = "proc"
	}
	c.open(m.slot, open, m.origin)
	if m.mapSource {
		c.mapped = append(c.mapped, Op{MapSource{m.slot, m.options.idmap.recursive}, m.origin})
	}

	changes := []SetMountAttributes{
		{Set: m.options.mount.set, Clear: m.options.mount.clear},
		{Set: m.options.tree.set, Clear: m.options.tree.clear, Recursive: true},
		{Propagation: c.basePropagation(), Recursive: true},
	}
	for _, p := range m.options.propagation {
		changes = append(changes, SetMountAttributes{Propagation: p.kind, Recursive: p.recursive})
	}
	for _, change := range mergeChanges(changes, m.options.recursive) {
		change.Slot = m.slot
		c.add(change, m.origin)
	}
	c.add(Attach{Slot: m.slot, Path: m.destination, Create: CreateLikeSource,
		NoSymlinks: m.inside("/proc") || m.inside("/sys"), NoFollow: m.options.coverLink}, m.origin)
}

// mergeChanges returns changes without those that change nothing and with neighbours made one where that
// has the same effect. tree says that there may be mounts below the mount; where there are none, recursive
// or not is the same.
func mergeChanges(changes []SetMountAttributes, tree bool) []SetMountAttributes {
	merged := changes[:0]
	for _, c := range changes {
		c.Recursive = c.Recursive && tree
		if c.Set|c.Clear|c.Propagation == 0 {
			continue
		}
		if n := len(merged); n > 0 && merged[n-1].Recursive == c.Recursive {
			last := &merged[n-1]
			// Private and unbindable forget what was before; shared after slave is both.
			forgets := last.Propagation == 0 || c.Propagation == 0 || c.Propagation == last.Propagation ||
				c.Propagation == unix.MS_PRIVATE || c.Propagation == unix.MS_UNBINDABLE
			if forgets {
				last.Set = last.Set&^c.Clear | c.Set
				last.Clear = last.Clear&^c.Set | c.Clear
				if c.Propagation != 0 {
					last.Propagation = c.Propagation
				}
				continue
			}
		}
		merged = append(merged, c)
	}
	return merged
}

// procFiles are what may be bound over single files of /proc: they carry numbers about the machine which
// the likes of lxcfs replace by the container's own. Nothing of them leads to other processes or is written
// to by bailey.
var procFiles = []string{
	"/proc/cpuinfo", "/proc/diskstats", "/proc/loadavg", "/proc/meminfo", "/proc/net/dev", "/proc/slabinfo",
	"/proc/stat", "/proc/swaps", "/proc/sys/kernel/ns_last_pid", "/proc/uptime",
}

// checkProc refuses mounts that would put something else where the kernel's files are expected, or the
// kernel's files where nothing masks them (CVE-2019-16884, CVE-2019-19921).
func checkProc(m *mountJob) error {
	switch {
	case m.options.remount:
		return nil
	case !m.isBind() && (m.Type == "proc" && m.destination != "/proc" || m.Type == "sysfs" && m.destination != "/sys"):
		return m.fault(errInvalid, m.Type+" on another place than its own is reached by no masked or read-only path",
			"mount it on /"+strings.TrimSuffix(m.Type, "fs"))
	case m.destination == "/proc" && !m.isBind() && m.Type != "proc":
		return m.fault(errInvalid, "/proc must be a procfs: labels and security settings are written there",
			"use the type proc, or bind the host's /proc")
	case m.destination != "/proc" && m.inside("/proc") && !(m.isBind() && slices.Contains(procFiles, m.destination)):
		return m.fault(errInvalid, "only bind mounts on "+strings.Join(procFiles, ", ")+" are allowed inside /proc",
			"mount it elsewhere")
	}
	return nil
}
