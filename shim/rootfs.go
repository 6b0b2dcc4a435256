package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

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
		if err := mount(bundle, m, target); err != nil {
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

// mount makes one mount. Options that are not the kernel's but containerd's own are done here: an ID mapping (uidmap, gidmap),
// and an image file (loop).
func mount(bundle string, m wire.Mount, target string) error {
	var flags uintptr
	var data []string
	var uids, gids string
	loop := false
	for _, o := range m.Options {
		name, value, _ := strings.Cut(o, "=")
		switch f, known := flagOptions[o]; {
		case strings.HasPrefix(o, "X-containerd."):
			return fmt.Errorf("the option %s is not supported", o)
		case o == "loop":
			loop = true
		case name == "uidmap":
			uids = value
		case name == "gidmap":
			gids = value
		case known && f.set:
			flags |= f.flag
		case known:
			flags &^= f.flag
		default:
			data = append(data, o)
		}
	}
	if (uids == "") != (gids == "") {
		return errors.New("uidmap and gidmap belong together")
	}
	var userns *os.File
	var err error
	if uids != "" {
		if userns, err = userNamespace(uids, gids); err != nil {
			return err
		}
		defer userns.Close()
		if m.Type == "overlay" {
			return mountMappedOverlay(bundle, m.Source, target, flags, data, userns)
		}
	}
	source := m.Source
	if loop {
		device, err := loopDevice(source, flags&unix.MS_RDONLY != 0)
		if err != nil {
			return err
		}
		defer device.Close()
		source = device.Name()
	}
	text := strings.Join(data, ",")
	if dir, short := shorten(data); len(text) >= os.Getpagesize() && dir != "" {
		err = mountFrom(dir, source, target, m.Type, flags, strings.Join(short, ","))
	} else {
		err = unix.Mount(source, target, m.Type, flags, text)
	}
	if err == nil && userns != nil {
		err = mountMapped(target, target, userns, true)
	}
	if err != nil || flags&unix.MS_BIND == 0 || flags&unix.MS_RDONLY == 0 {
		return err
	}
	// A bind mount takes no other flags when it is made.
	return unix.Mount("", target, "", flags|unix.MS_REMOUNT, "")
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
