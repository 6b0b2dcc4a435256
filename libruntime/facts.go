package libruntime

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/userns"
	"github.com/bailey-oci/bailey/libruntime/cgroup"
	"github.com/bailey-oci/bailey/libruntime/idmap"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/libruntime/seccomp"
)

// capabilities returns the number of the last capability that the kernel knows and the caller's bounding
// set. Asking for each costs less than opening a file of procfs.
func capabilities() (last int, held uint64) {
	for n := range 64 {
		set, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
		if err != nil {
			return n - 1, held
		}
		held |= uint64(set) << n
	}
	return 63, held
}

// facts returns what the plan depends on besides config.json and the command line.
func (rt *Runtime) facts(b *bundle, opts *CreateOptions, cg *cgroup.Manager) plan.Options {
	o := plan.Options{
		ID: opts.ID, Bundle: b.path,
		EmptyRoot: opts.EmptyRoot,
		NoPivot:   opts.NoPivot, NoNewKeyring: opts.NoNewKeyring,
		PreserveFDs:     opts.PreserveFDs + opts.ListenFDs,
		InUserNamespace: os.Geteuid() != 0 || userns.Other(),
		Unprivileged:    os.Geteuid() != 0,
		SetgroupsDenied: idmap.DeniesSetgroups(b.spec.Linux.GIDMappings),
	}
	if o.OwnIDs = b.idsWanted != 0 && !o.Unprivileged; o.OwnIDs {
		o.Unmapped = unmappable(b, cg.Paths())
		maps.Copy(o.Unmapped, opts.Foreign)
	}
	confine(&o, b.spec, opts)
	o.LastCap, o.Held = capabilities()
	o.CgroupTasks, o.CgroupDirectory = cgroupFacts(cg)
	o.CgroupUnit = cg.Unit()
	if slices.ContainsFunc(b.spec.Mounts, func(m specs.Mount) bool { return strings.HasPrefix(m.Type, "cgroup") }) {
		paths := cg.Paths()
		if len(paths) == 0 && !hasNamespace(b.spec, specs.CgroupNamespace) {
			// Without cgroups of its own it is in the caller's, and that is what it is shown.
			paths = cgroup.Own()
		}
		o.CgroupMounts = cgroupMounts(paths)
	}
	o.SourceLinks = sourceLinks(b)
	if b.spec.Linux.MountLabel != "" && !hasSELinux() {
		o.NoMountLabel = true
		rt.warn("/linux/mountLabel is ignored: this kernel has no SELinux, and nothing that could be labelled for it")
	}
	return o
}

// sourceLinks returns the targets of the sources that are symbolic links and to be copied as such, by the mount's index.
func sourceLinks(b *bundle) map[int]string {
	var links map[int]string
	for i := range b.spec.Mounts {
		m := &b.spec.Mounts[i]
		if !slices.ContainsFunc(m.Options, func(o string) bool { return strings.Contains(o, "copy-symlink") }) {
			continue
		}
		source := m.Source
		if !filepath.IsAbs(source) {
			source = b.path + "/" + source
		}
		if target, err := os.Readlink(source); err == nil {
			if links == nil {
				links = make(map[int]string)
			}
			links[i] = target
		}
	}
	return links
}

// ownerless are the filesystems whose files are the kernel's, and which cannot show other owners.
var ownerless = []int64{
	unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEVPTS_SUPER_MAGIC,
	unix.NSFS_MAGIC, unix.BPF_FS_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC, unix.BINFMTFS_MAGIC,
	unix.EFIVARFS_MAGIC, unix.SELINUX_MAGIC, mqueueMagic,
}

// mqueueMagic is MQUEUE_MAGIC (ipc/mqueue.c).
const mqueueMagic = 0x19800202

// unmappable returns the indices of the bind mounts whose files belong to nobody in particular: of such filesystems, and
// devices of the machine. cgroupPaths are the container's cgroups.
func unmappable(b *bundle, cgroupPaths map[string]string) map[int]bool {
	dirs := slices.Collect(maps.Values(cgroupPaths))
	found := make(map[int]bool)
	for i := range b.spec.Mounts {
		m := &b.spec.Mounts[i]
		if !plan.IsBind(m) {
			continue
		}
		source := m.Source
		if !filepath.IsAbs(source) {
			source = b.path + "/" + source
		}
		var fs unix.Statfs_t
		var st unix.Stat_t
		if err := unix.Statfs(source, &fs); err == unix.ENOENT {
			// One of the container's cgroups, which are yet to be made, perhaps.
			found[i] = slices.Contains(dirs, filepath.Clean(source))
			continue
		} else if err != nil || unix.Stat(source, &st) != nil {
			continue // the error is that of the mount
		}
		device := st.Mode&unix.S_IFMT == unix.S_IFCHR || st.Mode&unix.S_IFMT == unix.S_IFBLK
		found[i] = device || slices.Contains(ownerless, fs.Type)
	}
	return found
}

// hasSELinux reports whether SELinux is part of the running kernel and was not switched off at boot:
// selinuxfs is registered only then. If in doubt it is, so that a label fails rather than gets lost.
func hasSELinux() bool {
	list, err := os.ReadFile("/proc/filesystems")
	return err != nil || bytes.Contains(list, []byte("\tselinuxfs\n"))
}

// cgroupFacts returns how many v1 hierarchies the container joins, and whether it joins the v2 one.
func cgroupFacts(cg *cgroup.Manager) (v1 int, v2 bool) {
	seen := make(map[string]bool)
	for controller, path := range cg.Paths() {
		if controller == "" {
			v2 = true
		} else if !seen[path] {
			seen[path] = true
			v1++
		}
	}
	return v1, v2
}

// cgroupMounts describes the container's cgroups for mounts of type cgroup, in the order of their names.
// On a hybrid machine the v2 hierarchy is left out: the container's view is the v1 one, as with runc.
func cgroupMounts(paths map[string]string) []plan.CgroupMount {
	byPath := make(map[string][]string)
	for controller, path := range paths {
		if controller != "" {
			byPath[path] = append(byPath[path], controller)
		}
	}
	if len(byPath) == 0 {
		if path, ok := paths[""]; ok {
			return []plan.CgroupMount{{Path: path}}
		}
		return nil
	}
	var mounts []plan.CgroupMount
	for path, controllers := range byPath {
		slices.Sort(controllers)
		m := plan.CgroupMount{Data: strings.Join(controllers, ","), Path: path}
		m.Name = strings.TrimPrefix(m.Data, "name=")
		if len(controllers) > 1 {
			m.Links = controllers
			m.Name = mountName(path, m.Name)
		}
		mounts = append(mounts, m)
	}
	slices.SortFunc(mounts, func(a, b plan.CgroupMount) int { return strings.Compare(a.Name, b.Name) })
	return mounts
}

// mountName returns the name that the machine gives a hierarchy with several controllers: their order in
// it ("cpu,cpuacct", "net_cls,net_prio") is a matter of custom, and programs in containers go by it.
func mountName(path, sorted string) string {
	n := strings.Count(sorted, ",")
	for dir := range strings.SplitSeq(path, "/") {
		if strings.Count(dir, ",") == n {
			have := strings.Split(dir, ",")
			slices.Sort(have)
			if strings.Join(have, ",") == sorted {
				return dir
			}
		}
	}
	return sorted
}

// filter returns the program and the flags of a process's system-call filter: of linux.seccomp, which compile compiles, with
// the kinds of namespaces on top that it is to deny. There is no program where neither asks for one.
func (rt *Runtime) filter(s *specs.Spec, denies plan.Namespace, compile func(*specs.LinuxSeccomp) (*seccomp.Program, error)) (program []byte, flags uint64, err error) {
	var p *seccomp.Program
	if s.Linux.Seccomp != nil {
		if p, err = compile(s.Linux.Seccomp); err != nil {
			return nil, 0, err
		}
		rt.warn(p.Warnings...)
	}
	if denies != 0 {
		if p, err = seccomp.DenyNamespaces(p, uint32(denies)); err != nil {
			return nil, 0, err
		}
	}
	if p == nil {
		return nil, 0, nil
	}
	return p.Filter, uint64(p.Flags), nil
}

// cachedSeccomp compiles linux.seccomp, or takes it from the cache.
func (rt *Runtime) cachedSeccomp(config *specs.LinuxSeccomp) (*seccomp.Program, error) {
	return seccomp.NewCache(rt.seccompDir()).Load(config)
}

// seccompDir is where compiled filters are kept. Its name cannot be a container's ID.
func (rt *Runtime) seccompDir() string { return string(rt.Root) + "/@seccomp" }

// cgroupOwner returns the host's user that the cgroup is handed to by the rule of config-linux.md ("Cgroup
// ownership"): the one that the process runs as, if the cgroup namespace is new and the container can write
// to what it is shown of it; nil if none.
func cgroupOwner(s *specs.Spec) *uint32 {
	isNew := func(ns specs.LinuxNamespace) bool { return ns.Type == specs.CgroupNamespace && ns.Path == "" }
	shown := func(m specs.Mount) bool {
		return m.Source == "cgroup" && m.Destination == "/sys/fs/cgroup" && !slices.Contains(m.Options, "ro")
	}
	if s.Process == nil || !slices.ContainsFunc(s.Linux.Namespaces, isNew) || !slices.ContainsFunc(s.Mounts, shown) {
		return nil
	}
	uid := s.Process.User.UID
	if len(s.Linux.UIDMappings) == 0 {
		return &uid
	}
	for _, m := range s.Linux.UIDMappings {
		if uid >= m.ContainerID && uid-m.ContainerID < m.Size {
			owner := m.HostID + (uid - m.ContainerID)
			return &owner
		}
	}
	return nil
}
