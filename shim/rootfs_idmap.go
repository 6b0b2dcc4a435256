package shim

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime/idmap"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/nsexec"
)

// layersName is where in a bundle the layers of an overlay are mounted with an ID mapping, until the overlay has them.
const layersName = "bailey-layers"

// parseMappings reads the value of a mount option uidmap or gidmap: CONTAINER:HOST:SIZE, several with commas between them.
func parseMappings(text string) ([]plan.IDMapping, error) {
	var list []plan.IDMapping
	for part := range strings.SplitSeq(text, ",") {
		var n [3]uint64
		words := strings.Split(part, ":")
		if len(words) != len(n) {
			return nil, errors.New("not an ID mapping: " + strconv.Quote(part))
		}
		for i, w := range words {
			var err error
			if n[i], err = strconv.ParseUint(w, 10, 32); err != nil {
				return nil, errors.New("not an ID mapping: " + strconv.Quote(part))
			}
		}
		list = append(list, plan.IDMapping{Container: uint32(n[0]), Host: uint32(n[1]), Size: uint32(n[2])})
	}
	return list, nil
}

// userNamespace returns a user namespace for mounts with these mappings. It makes children and waits for them.
func userNamespace(uids, gids string) (*os.File, error) {
	u, err := parseMappings(uids)
	if err != nil {
		return nil, err
	}
	g, err := parseMappings(gids)
	if err != nil {
		return nil, err
	}
	fd, err := nsexec.NewUserNamespace(func(pid int) error { return idmap.Write(pid, u, g) })
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "user namespace"), nil
}

// mountMapped attaches a clone of what is at path to target, with the ID mapping of userns. cover takes away what is mounted
// at target before.
func mountMapped(path, target string, userns *os.File, cover bool) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return os.NewSyscallError("open_tree", err)
	}
	defer unix.Close(tree)
	attributes := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns.Fd())}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attributes); err != nil {
		return os.NewSyscallError("mount_setattr", err)
	}
	if cover {
		if err := unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return os.NewSyscallError("umount", err)
		}
	}
	return os.NewSyscallError("move_mount", unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// mountMappedOverlay mounts an overlay whose lower layers are shown with other owners; the upper one has the right ones on disk.
func mountMappedOverlay(bundle, source, target string, flags uintptr, data []string, userns *os.File) (err error) {
	dir, short := shorten(data)
	if dir == "" {
		return errors.New("the layers have no directory in common")
	}
	layers := filepath.Join(bundle, layersName)
	if err := os.Mkdir(layers, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	if err := mountMapped(dir, layers, userns, false); err != nil {
		return err
	}
	// The overlay has mounts of its own of what it consists of.
	defer func() { err = errors.Join(err, removeLayers(bundle)) }()
	return mountFrom(layers, source, target, "overlay", flags, strings.Join(short, ","))
}

// removeLayers takes away what mountMappedOverlay has mounted for a moment.
func removeLayers(bundle string) error {
	layers := filepath.Join(bundle, layersName)
	if err := unmountAll(layers); err != nil {
		return err
	}
	if err := os.Remove(layers); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}
