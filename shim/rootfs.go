package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/shim/wire"
)

// rootfsName is where in a bundle containerd's config.json has the root file system.
const rootfsName = "rootfs"

// mountRootfs mounts what containerd's snapshotter says onto the bundle's root directory.
func mountRootfs(bundle string, mounts []wire.Mount) (err error) {
	if len(mounts) == 0 {
		return nil
	}
	rootfs := filepath.Join(bundle, rootfsName)
	if err := os.Mkdir(rootfs, 0o711); err != nil && !os.IsExist(err) {
		return err
	}
	for _, m := range mounts {
		target := rootfs
		if m.Target != "" {
			target = filepath.Join(rootfs, filepath.Join("/", m.Target))
		}
		if err := mount(m, target); err != nil {
			_ = unmountAll(rootfs)
			return fmt.Errorf("mount rootfs component: %s on %s: %w", m.Type, target, err)
		}
	}
	return nil
}

// flagOptions are the options that mount(2) has flags for; set: it is put, not taken away.
var flagOptions = map[string]struct {
	flag uintptr
	set  bool
}{
	"ro": {unix.MS_RDONLY, true}, "rw": {unix.MS_RDONLY, false},
	"bind": {unix.MS_BIND, true}, "rbind": {unix.MS_BIND | unix.MS_REC, true},
	"suid": {unix.MS_NOSUID, false}, "nosuid": {unix.MS_NOSUID, true},
	"dev": {unix.MS_NODEV, false}, "nodev": {unix.MS_NODEV, true},
	"exec": {unix.MS_NOEXEC, false}, "noexec": {unix.MS_NOEXEC, true},
	"sync": {unix.MS_SYNCHRONOUS, true}, "async": {unix.MS_SYNCHRONOUS, false},
	"dirsync": {unix.MS_DIRSYNC, true}, "remount": {unix.MS_REMOUNT, true},
	"mand": {unix.MS_MANDLOCK, true}, "nomand": {unix.MS_MANDLOCK, false},
	"atime": {unix.MS_NOATIME, false}, "noatime": {unix.MS_NOATIME, true},
	"diratime": {unix.MS_NODIRATIME, false}, "nodiratime": {unix.MS_NODIRATIME, true},
	"relatime": {unix.MS_RELATIME, true}, "norelatime": {unix.MS_RELATIME, false},
	"strictatime": {unix.MS_STRICTATIME, true}, "nostrictatime": {unix.MS_STRICTATIME, false},
	"defaults": {0, true},
}

// refusedOptions have mounts made by more than mount(2), which no snapshotter asks a shim for without being configured to.
var refusedOptions = map[string]bool{"loop": true}

// mount makes one mount.
func mount(m wire.Mount, target string) error {
	var flags uintptr
	var data []string
	maps := make(map[string]string)
	for _, o := range m.Options {
		name, value, _ := strings.Cut(o, "=")
		switch f, known := flagOptions[o]; {
		case refusedOptions[name] || strings.HasPrefix(o, "X-containerd."):
			return fmt.Errorf("the option %s is not supported", o)
		case name == "uidmap" || name == "gidmap":
			maps[name] = value
		case known && f.set:
			flags |= f.flag
		case known:
			flags &^= f.flag
		default:
			data = append(data, o)
		}
	}
	if len(maps) > 0 {
		return mountMapped(m.Type, target, flags, data, maps)
	}
	text := strings.Join(data, ",")
	var err error
	if dir, short := shorten(data); len(text) >= os.Getpagesize() && dir != "" {
		err = mountFrom(dir, m.Source, target, m.Type, flags, strings.Join(short, ","))
	} else {
		err = unix.Mount(m.Source, target, m.Type, flags, text)
	}
	if err != nil || flags&unix.MS_BIND == 0 || flags&unix.MS_RDONLY == 0 {
		return err
	}
	// A bind mount takes no other flags when it is made.
	return unix.Mount("", target, "", flags|unix.MS_REMOUNT, "")
}

// mountMapped mounts an overlay whose lower layers are those of an image, and which is for a user namespace of the engine's.
func mountMapped(kind, target string, flags uintptr, data []string, maps map[string]string) error {
	const attributes = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC // the same numbers as MOUNT_ATTR_*
	if kind != "overlay" || flags&^attributes != 0 {
		return errors.New("the options uidmap and gidmap are supported for overlays, without further flags")
	}
	o := libruntime.EngineOverlay{Attributes: uint64(flags)}
	for _, option := range data {
		if layers, ok := strings.CutPrefix(option, "lowerdir="); ok {
			o.Lower = strings.Split(layers, ":")
		} else {
			o.Options = append(o.Options, option)
		}
	}
	var err error
	if o.UIDs, err = parseMap(maps["uidmap"]); err != nil {
		return fmt.Errorf("the option uidmap: %w", err)
	}
	if o.GIDs, err = parseMap(maps["gidmap"]); err != nil {
		return fmt.Errorf("the option gidmap: %w", err)
	}
	fd, err := o.Mount(target)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return os.NewSyscallError("move_mount", unix.MoveMount(fd, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// parseMap reads ID mappings: container's, host's, size, which colons separate, and commas each mapping from the next.
func parseMap(text string) ([]plan.IDMapping, error) {
	var list []plan.IDMapping
	for one := range strings.SplitSeq(text, ",") {
		var n [3]uint32
		parts := strings.Split(one, ":")
		if len(parts) != len(n) {
			return nil, fmt.Errorf("%q is no ID mapping", one)
		}
		for i, p := range parts {
			v, err := strconv.ParseUint(p, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("%q is no ID mapping", one)
			}
			n[i] = uint32(v)
		}
		list = append(list, plan.IDMapping{Container: n[0], Host: n[1], Size: n[2]})
	}
	return list, nil
}

// shorten makes the paths of an overlay's layers relative to a directory that all of them are below: mount(2) takes a page
// of options, which is not enough for some sixty layers.
func shorten(data []string) (dir string, short []string) {
	short = append(short, data...)
	for i, o := range short {
		layers, ok := strings.CutPrefix(o, "lowerdir=")
		if !ok {
			continue
		}
		paths := strings.Split(layers, ":")
		dir = filepath.Dir(paths[0])
		for _, p := range paths {
			for dir != "/" && !strings.HasPrefix(p, dir+"/") {
				dir = filepath.Dir(dir)
			}
		}
		if dir == "/" || !filepath.IsAbs(dir) {
			return "", nil
		}
		for j := range paths {
			paths[j] = strings.TrimPrefix(paths[j], dir+"/")
		}
		short[i] = "lowerdir=" + strings.Join(paths, ":")
	}
	return dir, short
}

// mountFrom mounts with dir as the working directory, which it is for one thread alone, and that one ends afterwards.
func mountFrom(dir, source, target, kind string, flags uintptr, data string) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_FS)
		if err == nil {
			err = unix.Chdir(dir)
		}
		if err == nil {
			err = unix.Mount(source, target, kind, flags, data)
		}
		result <- err
	}()
	return <-result
}

// unmountAll takes away every mount on path and below it. It is no error if there is none.
func unmountAll(path string) error {
	// One mount is the rule, and that there is no more is soon found out.
	err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err == unix.EINVAL || err == unix.ENOENT {
		return nil
	}
	for err == nil {
		err = unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	}
	if err == unix.EINVAL {
		return nil
	}
	mounts, listErr := mountinfo.GetMounts(mountinfo.PrefixFilter(path))
	if listErr == nil && len(mounts) == 0 {
		return nil
	}
	return fmt.Errorf("unmount %s: %w", path, err)
}
