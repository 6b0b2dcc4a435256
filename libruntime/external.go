package libruntime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/plan"
)

// dumpedFile is the file in a checkpoint's images with what is bailey's own to know of it.
const dumpedFile = "bailey.json"

// dumped is what of a container is not CRIU's to dump, and has to be there when it is restored.
type dumped struct {
	Mounts      []externalMount      `json:"mounts,omitempty"`
	Descriptors []externalDescriptor `json:"descriptors,omitempty"`
	Namespaces  []externalNamespace  `json:"namespaces,omitempty"`
}

// externalMount is a mount of something of the host's. One of Device, Controller and Destination says of what.
type externalMount struct {
	// Path is where it is, which is also its key in the images.
	Path string `json:"path"`
	// Device is the path of a device on the host.
	Device string `json:"device,omitempty"`
	// Cgroup says that it is the container's cgroup, Controller in which v1 hierarchy.
	Cgroup     bool   `json:"cgroup,omitempty"`
	Controller string `json:"controller,omitempty"`
	// Destination names the mount of config.json that it belongs to, Below the path below that.
	Destination string `json:"destination,omitempty"`
	Below       string `json:"below,omitempty"`
}

// externalDescriptor is a standard stream that leads out of the container.
type externalDescriptor struct {
	FD  int    `json:"fd"`
	Key string `json:"key"`
	// Null: it is /dev/null.
	Null bool `json:"null,omitempty"`
	// Size is that of a regular file in bytes.
	Size *int64 `json:"size,omitempty"`
}

// externalNamespace is a namespace that config.json gives by path.
type externalNamespace struct {
	Kind specs.LinuxNamespaceType `json:"kind"`
	// Inode is its number when it was dumped.
	Inode uint64 `json:"inode"`
}

// key is what a namespace is called in the images.
func (n externalNamespace) key() string { return "bailey-" + string(n.Kind) }

// externalKinds are the namespaces that CRIU takes as external, by its name for them. It joins others instead, when it
// restores.
var externalKinds = map[specs.LinuxNamespaceType]struct {
	name string // for CRIU, and in /proc/PID/ns
	kind plan.Namespace
}{
	specs.NetworkNamespace: {"net", plan.NetworkNS},
	specs.PIDNamespace:     {"pid", plan.PIDNS},
}

// external returns CRIU's names for all of it.
func (d *dumped) external() []string {
	var names []string
	for _, m := range d.Mounts {
		names = append(names, "mnt["+m.Path+"]:"+m.Path)
	}
	for _, f := range d.Descriptors {
		if !strings.HasPrefix(f.Key, "pipe:") && !slices.Contains(names, f.Key) { // pipes it finds out by itself
			names = append(names, f.Key)
		}
	}
	for _, n := range d.Namespaces {
		names = append(names, externalKinds[n.Kind].name+"["+strconv.FormatUint(n.Inode, 10)+"]:"+n.key())
	}
	return names
}

func (d *dumped) write(images *os.File) error {
	data, err := json.MarshalIndent(d, "", "  ")
	if err == nil {
		var fd int
		fd, err = unix.Openat(int(images.Fd()), dumpedFile, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err == nil {
			f := os.NewFile(uintptr(fd), dumpedFile)
			_, err = f.Write(append(data, '\n'))
			if closeErr := f.Close(); err == nil {
				err = closeErr
			}
		}
	}
	if err != nil {
		return fault.Wrap(reason(err), "write "+images.Name()+"/"+dumpedFile, "--image-path")
	}
	return nil
}

// readDumped reads what write has written.
func readDumped(images *os.File) (*dumped, error) {
	failed := func(err error, cause string) error {
		return &fault.Error{Step: "read " + images.Name() + "/" + dumpedFile, Origin: "--image-path", Err: err, Cause: cause}
	}
	fd, err := unix.Openat(int(images.Fd()), dumpedFile, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil, failed(err, "the directory holds no checkpoint that bailey has made")
	}
	if err != nil {
		return nil, failed(err, "")
	}
	f := os.NewFile(uintptr(fd), dumpedFile)
	defer f.Close()
	d := new(dumped)
	decoder := json.NewDecoder(f)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(d); err != nil {
		return nil, failed(err, "")
	}
	return d, nil
}

// dumpedContainer finds out what is not CRIU's to dump in a container that runs.
func dumpedContainer(c *container, s *specs.Spec) (*dumped, error) {
	d := new(dumped)
	if c.NotifyPath() != "" {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: notifyInside, Type: "bind"}) // see notifyMount
	}
	mounts, err := mountsOf(c.rec.PID)
	if err != nil {
		return nil, &fault.Error{Step: "read the container's mounts", Err: err}
	}
	if d.Mounts, err = externalMounts(c, s, mounts); err != nil {
		return nil, err
	}
	for fd := range firstInherited {
		e, err := descriptorOf(c.rec.PID, fd, mounts)
		if err != nil {
			return nil, &fault.Error{Step: "examine the container's standard streams", Err: err}
		}
		if e != nil {
			d.Descriptors = append(d.Descriptors, *e)
		}
	}
	for _, ns := range s.Linux.Namespaces {
		name := externalKinds[ns.Type].name
		if ns.Path == "" || name == "" {
			continue
		}
		var st unix.Stat_t
		if err := unix.Stat("/proc/"+strconv.Itoa(c.rec.PID)+"/ns/"+name, &st); err != nil {
			return nil, &fault.Error{Step: "examine the container's namespaces", Syscall: "stat", Err: err}
		}
		d.Namespaces = append(d.Namespaces, externalNamespace{ns.Type, st.Ino})
	}
	return d, nil
}

// descriptorOf examines a standard stream of a process. The result is nil for one that is closed, and for a terminal or a
// file of the container's own, which CRIU dumps. mounts
// are those of the process.
func descriptorOf(pid, fd int, mounts []*mountinfo.Info) (*externalDescriptor, error) {
	dir, name := "/proc/"+strconv.Itoa(pid), strconv.Itoa(fd)
	target, err := os.Readlink(dir + "/fd/" + name)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(target, "pipe:") {
		return &externalDescriptor{FD: fd, Key: target}, nil
	}
	var st unix.Stat_t
	if err := unix.Stat(dir+"/fd/"+name, &st); err != nil {
		return nil, err
	}
	kind := st.Mode & unix.S_IFMT
	if kind == unix.S_IFSOCK || kind == unix.S_IFCHR && unix.Major(st.Rdev) != 1 { // a device of major 1 is none of terminals
		return nil, nil
	}
	info, err := os.ReadFile(dir + "/fdinfo/" + name)
	if err != nil {
		return nil, err
	}
	var id uint64
	for line := range strings.Lines(string(info)) {
		if v, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			if id, err = strconv.ParseUint(strings.TrimSpace(v), 10, 32); err != nil {
				return nil, err
			}
		}
	}
	if slices.ContainsFunc(mounts, func(m *mountinfo.Info) bool { return uint64(m.ID) == id }) {
		return nil, nil
	}
	e := &externalDescriptor{FD: fd, Key: fmt.Sprintf("file[%x:%x]", id, st.Ino),
		Null: kind == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3)}
	if kind == unix.S_IFREG {
		e.Size = &st.Size
	}
	return e, nil
}

func mountsOf(pid int) ([]*mountinfo.Info, error) {
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mountinfo.GetMountsFromReader(f, nil)
}

// recreated are the filesystems that CRIU makes anew, with what was in them where that is not the kernel's.
var recreated = []string{"proc", "sysfs", "tmpfs", "devpts", "mqueue"}

// externalMounts returns the mounts of a running container that show something of the host's.
func externalMounts(c *container, s *specs.Spec, mounts []*mountinfo.Info) ([]externalMount, error) {
	configured, err := c.configuredMounts(s)
	if err != nil {
		return nil, err
	}
	byID := make(map[int]*mountinfo.Info, len(mounts))
	for _, m := range mounts {
		byID[m.ID] = m
	}
	var root *mountinfo.Info
	var list []externalMount
	for _, m := range mounts {
		if m.Mountpoint == "/" {
			root = m
			continue
		}
		e := externalMount{Path: m.Mountpoint}
		switch m.FSType {
		case "devtmpfs":
			e.Device = "/dev" + m.Root
		case "cgroup":
			e.Cgroup, e.Controller = true, controllerOf(m.VFSOptions, c.rec.CgroupPaths)
		case "cgroup2":
			e.Cgroup = true
		default:
			// It belongs to the mount of config.json that it is, or that it is below of.
			of, at := -1, m
			for at != nil && of < 0 {
				if i, ok := configured[at.ID]; ok {
					of = i
					break
				}
				at = byID[at.Parent]
			}
			if of >= 0 && plan.IsBind(&s.Mounts[of]) {
				e.Destination, e.Below = s.Mounts[of].Destination, strings.TrimPrefix(m.Mountpoint, at.Mountpoint)
				break
			}
			// CRIU makes it anew, or it is a part of the root made read-only.
			if slices.Contains(recreated, m.FSType) || root != nil && m.Major == root.Major && m.Minor == root.Minor {
				continue
			}
			return nil, &fault.Error{Step: "checkpoint the container", Object: m.Mountpoint, Err: unix.EOPNOTSUPP,
				Cause:  "CRIU does not dump filesystems of type " + m.FSType,
				Remedy: "mount it on the host and give it to the container as a bind mount, which is put back as such"}
		}
		list = append(list, e)
	}
	return list, nil
}

// configuredMounts returns the mounts of config.json by the IDs of the container's mounts.
func (c *container) configuredMounts(s *specs.Spec) (map[int]int, error) {
	root, err := openHost(c.process().rootPath(), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, &fault.Error{Step: "open the container's root", Syscall: "open", Err: err}
	}
	defer unix.Close(root)
	ids := make(map[int]int, len(s.Mounts))
	for i := range s.Mounts {
		fd, err := unix.Openat2(root, s.Mounts[i].Destination,
			&unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
		if err != nil {
			continue // unmounted meanwhile
		}
		var st unix.Statx_t
		err = unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st)
		unix.Close(fd)
		if err != nil {
			return nil, &fault.Error{Step: "examine " + s.Mounts[i].Destination + " in the container", Syscall: "statx", Err: err}
		}
		ids[int(st.Mnt_id)] = i
	}
	return ids, nil
}

// controllerOf returns the first controller of a v1 hierarchy with these options that the container has a cgroup in.
func controllerOf(options string, paths map[string]string) string {
	for o := range strings.SplitSeq(options, ",") {
		if _, ok := paths[o]; ok && o != "" {
			return o
		}
	}
	return ""
}

// source returns the path on the host of what is mounted there in a container that is being restored from the bundle b,
// with these cgroups.
func (m *externalMount) source(b *bundle, cgroups map[string]string, notify func() (string, error)) (string, error) {
	failed := func(cause string) error {
		return &fault.Error{Step: "restore the mount on " + m.Path, Origin: "/mounts", Err: unix.ENOENT, Cause: cause}
	}
	switch {
	case m.Device != "":
		return m.Device, nil
	case m.Cgroup:
		p, ok := cgroups[m.Controller]
		if !ok {
			return "", failed("it showed the container's cgroup (" + m.Controller + "), and there it has none here")
		}
		return p, nil
	case path.Clean(m.Destination) == notifyInside:
		return notify()
	}
	for i := len(b.spec.Mounts) - 1; i >= 0; i-- {
		c := &b.spec.Mounts[i]
		if path.Clean(c.Destination) != path.Clean(m.Destination) || !plan.IsBind(c) {
			continue
		}
		source := c.Source
		if !filepath.IsAbs(source) {
			source = b.path + "/" + source
		}
		return source + m.Below, nil
	}
	return "", failed("config.json has no bind mount on " + m.Destination + " as the one that the checkpoint was made of had")
}
