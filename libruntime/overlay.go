package libruntime

import (
	"errors"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/faultpoint"
	"github.com/bailey-oci/bailey/internal/octal"
	"github.com/bailey-oci/bailey/libruntime/store"
)

// An overlay cannot show other owners than it has (there is no FS_ALLOW_IDMAP in fs/overlayfs, as of Linux 6.18), but its
// layers can, and then it shows those. Engines have put together the root filesystem of almost every container from layers
// before they call bailey, so for a root filesystem that is an overlay another one is made, of the same layers, each of them
// with the container's ID mapping. It goes to the container instead of the engine's.
//
// Two overlays have one upper layer then. The kernel says in its log that "accessing files from both mounts will result
// in undefined behavior": what is changed through one may or may not be seen through the other. Engines look at the layer, or
// at the mount when no container runs. The work directory is another one, in the engine's: a second overlay empties that of
// a first.

// overlay is a mounted overlay as mountinfo describes it.
type overlay struct {
	// attributes are those of the mount (MOUNT_ATTR_*), options the parameters that are passed on as they are.
	attributes uint64
	options    []string
	lower      []string // the uppermost first
	upper      string
	engineWork string
	remaking
}

var errLayers = errors.New("it cannot be put together again from its layers")

// overlayAt describes the overlay whose root is at root; nil where that is something else.
func overlayAt(root string) (*overlay, error) {
	m, below, err := mountAt(root)
	if err != nil || m == nil || m.FSType != "overlay" || m.Root != "/" {
		return nil, err
	}
	refuse := func(cause string) error {
		return &fault.Error{Object: root, Err: errLayers, Cause: cause,
			Remedy: "start the container with its user namespace as configured (--userns config), or have the engine make the user namespace"}
	}
	if below != "" {
		return nil, refuse(below + " is mounted in it, and an overlay shows other owners only if it is made anew")
	}
	o := &overlay{attributes: attributesOf(m.Options)}
	for option := range strings.SplitSeq(m.VFSOptions, ",") {
		key, value, _ := strings.Cut(option, "=")
		value = octal.Unescape(value)
		switch key {
		case "rw", "ro", "seclabel":
			continue
		case "lowerdir":
			o.lower = append(o.lower, layers(value)...)
		case "lowerdir+":
			o.lower = append(o.lower, value)
		case "upperdir":
			o.upper = strings.Join(layers(value), ":")
		case "workdir":
			o.engineWork = strings.Join(layers(value), ":")
		case "datadir+":
			return nil, refuse("it has layers with nothing but data, which bailey does not put together")
		default:
			o.options = append(o.options, option)
		}
	}
	for _, layer := range append(o.lower, o.upper) {
		if layer == "" && o.upper == "" && len(o.lower) > 0 {
			continue
		}
		if !strings.HasPrefix(layer, "/") {
			return nil, refuse("its layer " + strconv.Quote(layer) + " has a path that starts at a directory of the engine's, which is not known any more")
		}
	}
	return o, nil
}

// layers splits the value of lowerdir, in which a colon that belongs to a path may have a backslash before it.
func layers(value string) []string {
	var list []string
	var one strings.Builder
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && i+1 < len(value):
			i++
			one.WriteByte(value[i])
		case c == ':':
			list = append(list, one.String())
			one.Reset()
		default:
			one.WriteByte(c)
		}
	}
	return append(list, one.String())
}

// mountAt returns the mount whose root is at root, nil where there is none, and the path of a mount below it, if there is
// one.
func mountAt(root string) (found *mountinfo.Info, below string, err error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, root, 0, unix.STATX_MNT_ID, &st); err != nil {
		return nil, "", err
	}
	if st.Attributes&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		return nil, "", nil
	}
	mounts, err := mountsOf(os.Getpid())
	if err != nil {
		return nil, "", err
	}
	for _, m := range mounts {
		if uint64(m.ID) == st.Mnt_id {
			found = m
		}
		if uint64(m.Parent) == st.Mnt_id {
			below = m.Mountpoint
		}
	}
	return found, below, nil
}

// attributesOf returns the attributes of a mount from how mountinfo writes them.
func attributesOf(options string) uint64 {
	known := map[string]uint64{"ro": unix.MOUNT_ATTR_RDONLY, "nosuid": unix.MOUNT_ATTR_NOSUID, "nodev": unix.MOUNT_ATTR_NODEV,
		"noexec": unix.MOUNT_ATTR_NOEXEC, "noatime": unix.MOUNT_ATTR_NOATIME, "nodiratime": unix.MOUNT_ATTR_NODIRATIME,
		"nosymfollow": unix.MOUNT_ATTR_NOSYMFOLLOW}
	var set uint64
	for o := range strings.SplitSeq(options, ",") {
		set |= known[o]
	}
	return set
}

// workName returns the name of a container's own work directory in that of the engine's overlay.
func workName(id string) string { return "bailey-" + id }

// remake makes the overlay from layers that show their owners by the maps of userns, with the work directory work, which
// must be empty, and returns its mount, attached nowhere. root has the IDs that the container's root has outside.
//
// covered is a directory that is not needed for it; see inPrivate.
func (o *overlay) remake(userns *os.File, root store.IDs, work, covered string) (mount int, err error) {
	o.remaking = remaking{userns: userns, root: root, work: work}
	defer o.close()
	err = inPrivate(covered, o.openLayers, func(room int) error {
		mount, err = o.mount(room)
		return err
	})
	return mount, err
}

// remaking is what an overlay is put together again with.
type remaking struct {
	userns *os.File
	root   store.IDs
	work   string
	// inUpper and inWork are where the upper layer and the work directory are in the last of the layers.
	inUpper, inWork string
	layers          []layer
}

// layer is a detached mount of a layer, with an ID mapping.
type layer struct {
	name, path string
	fd         int
}

func (o *overlay) close() {
	for _, l := range o.layers {
		unix.Close(l.fd)
	}
}

// openLayers opens the layers. The upper one and the work directory have to be of one mount, which is that of the
// directory that has both.
func (o *overlay) openLayers() error {
	for i, dir := range o.lower {
		if err := o.openLayer(strconv.Itoa(i), dir); err != nil {
			return err
		}
	}
	if o.upper == "" {
		return nil
	}
	var both string
	both, o.inUpper, o.inWork = commonDirectory(o.upper, o.work)
	return o.openLayer("u", both)
}

func (o *overlay) openLayer(name, dir string) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return &fault.Error{Object: dir, Syscall: "open_tree", Err: err}
	}
	o.layers = append(o.layers, layer{name, dir, fd})
	return mapOwners(fd, false, o.userns, dir)
}

// mount makes the overlay in room, which is the working directory, too, and returns a clone of its mount.
func (o *overlay) mount(room int) (int, error) {
	failed := func(object, call string, err error) *fault.Error {
		return &fault.Error{Object: object, Syscall: call, Err: err}
	}
	for _, l := range o.layers {
		if err := unix.Mkdirat(room, l.name, 0o700); err != nil {
			return -1, failed(l.path, "mkdir", err)
		}
		if err := unix.MoveMount(l.fd, "", room, l.name, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return -1, failed(l.path, "move_mount", err)
		}
	}
	if err := unix.Mkdirat(room, "m", 0o700); err != nil {
		return -1, failed("overlay", "mkdir", err)
	}
	if err := makeFilesAs(o.root); err != nil {
		return -1, err
	}
	mount, call, err := overlayOn(room, "m", "overlay", 0, o.data(), o.attributes)
	if err == nil {
		return mount, nil
	}
	f := failed("overlay", call, err)
	switch {
	case call != "mount":
	case err == unix.EBUSY:
		f.Cause = "its upper layer is in use by the engine's mount of it, and the option index=on forbids a second one"
		f.Remedy = "have the engine mount it with index=off"
	case err == unix.EINVAL:
		f.Cause = "a filesystem that one of its layers is on cannot be one with other owners (Linux 5.19 is needed), or not with these options"
	}
	return -1, f
}

// data returns the options of the overlay, by the names that its layers have been given.
func (o *overlay) data() string {
	names := make([]string, 0, len(o.lower))
	for i := range o.lower {
		names = append(names, strconv.Itoa(i))
	}
	options := append([]string{"lowerdir=" + strings.Join(names, ":")}, o.options...)
	if o.upper != "" {
		options = append(options, "upperdir="+optionPath("u"+o.inUpper), "workdir="+optionPath("u"+o.inWork))
	}
	return strings.Join(options, ",")
}

// optionPath returns a path as an option of an overlay, in which a comma ends it.
func optionPath(p string) string {
	return strings.NewReplacer(`\`, `\\`, ",", `\,`).Replace(p)
}

// makeFilesAs has files that the calling thread makes belong to root of a container, with all of the thread's capabilities. An
// overlay makes directories and whiteouts of its own as whoever has mounted it, who must have an ID in its layers' mapping.
func makeFilesAs(root store.IDs) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData
	if err := unix.Capget(&header, &have[0]); err != nil {
		return &fault.Error{Syscall: "capget", Err: err}
	}
	if err := unix.Setfsgid(int(root.GID)); err != nil {
		return &fault.Error{Syscall: "setfsgid", Err: err}
	}
	if err := unix.Setfsuid(int(root.UID)); err != nil {
		return &fault.Error{Syscall: "setfsuid", Err: err}
	}
	// Not to be root any more has taken those that concern files.
	if err := unix.Capset(&header, &have[0]); err != nil {
		return &fault.Error{Syscall: "capset", Err: err}
	}
	return nil
}

// commonDirectory returns the directory that both paths are below of, and what of each is behind it.
func commonDirectory(a, b string) (dir, restA, restB string) {
	end := 0
	for i := 0; i < len(a) && i < len(b) && a[i] == b[i]; i++ {
		if a[i] == '/' {
			end = i
		}
	}
	if dir = a[:end]; dir == "" {
		dir = "/"
	}
	return dir, a[end:], b[end:]
}

// newWork makes a container's work directory anew and puts it on record before.
func (c *creation) newWork(o *overlay) (string, error) {
	if o.upper == "" {
		return "", nil
	}
	c.rec.OverlayWork = o.engineWork + "/" + workName(c.rec.ID)
	if err := c.dir.Write(c.rec); err != nil {
		return "", err
	}
	faultpoint.Here()
	if err := removeWork(c.rec); err != nil {
		return "", err
	}
	dir, err := openHost(o.engineWork, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return "", &fault.Error{Object: o.engineWork, Syscall: "open", Err: err}
	}
	defer unix.Close(dir)
	if err := unix.Mkdirat(dir, workName(c.rec.ID), 0o700); err != nil {
		return "", &fault.Error{Object: c.rec.OverlayWork, Syscall: "mkdir", Err: err}
	}
	return c.rec.OverlayWork, nil
}

// removeWork removes a container's work directory, if it has one. Everything in it is the kernel's.
func removeWork(rec *store.Record) error {
	dir := rec.OverlayWork
	if dir == "" {
		return nil
	}
	failed := &fault.Error{Step: "remove the work directory of the root filesystem " + dir}
	if !path.IsAbs(dir) || path.Base(dir) != workName(rec.ID) {
		failed.Origin, failed.Err = "state.json /overlayWork", errors.New("it is not one that bailey has made")
		return failed
	}
	faultpoint.Here()
	if err := os.RemoveAll(dir); err != nil {
		failed.Err = reason(err)
		return failed
	}
	return nil
}

// mapOverlay makes the container's own overlay of the layers of the engine's; -1 if the root is none.
func (c *creation) mapOverlay(userns *os.File) (mount int, err error) {
	o, err := overlayAt(c.rootfs())
	if err != nil || o == nil {
		return -1, err
	}
	work, err := c.newWork(o)
	if err != nil {
		return -1, err
	}
	return o.remake(userns, c.rec.IDs, work, c.rootfs())
}
