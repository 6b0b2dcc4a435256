package plan

import (
	"path"

	"golang.org/x/sys/unix"
)

// filesystem adds the root, the mounts, the devices and the terminal: everything below the root that is
// made before it is entered.
//
// Without a mount namespace of its own, the container's mounts are attached to the root's detached mount,
// which no mount namespace contains: they never show up on the host and vanish with the container. (runc
// puts them into the host's mount namespace and leaves them there.) This takes Linux 6.15; before, the
// kernel refuses the first of them.
func (c *compiler) filesystem() error {
	over := c.openRoot()
	origin := ""
	if c.spec.Linux.RootfsPropagation != "" {
		origin = "/linux/rootfsPropagation"
	}
	if c.ns.has(MountNS) {
		// The namespace as such is always cut off from the host, so that nothing done from here to the
		// pivot is seen there. What the container shares with it, its mounts say one by one.
		c.add(SetPropagation{unix.MS_SLAVE}, c.ns.origin(MountNS))
	}
	// The clone is a peer of the host's mount. The kernel does not pivot into a shared mount, therefore even
	// a shared root is private until then.
	if c.basePropagation() == 0 {
		c.add(SetMountAttributes{Slot: SlotRoot, Propagation: unix.MS_PRIVATE}, origin)
	} else {
		c.add(SetMountAttributes{Slot: SlotRoot, Propagation: c.basePropagation(), Recursive: true}, origin)
	}
	if c.ns.has(MountNS) {
		c.add(AttachRoot{over}, "/root/path")
	}
	for i := range c.spec.Mounts {
		if err := c.mount(i); err != nil {
			return err
		}
	}
	if err := c.devices(); err != nil {
		return err
	}
	c.terminal()
	// Made here, while the root can be written to.
	if dir := path.Clean(c.process.Cwd); dir != "/" {
		c.add(MakeDirectory{Path: dir, Mode: 0o755}, c.field("/cwd"))
	}
	return nil
}

// openRoot adds what makes the root's mount, and returns the directory that it is attached over, "" for the namespace's
// own root.
func (c *compiler) openRoot() (over string) {
	if c.o.EmptyRoot {
		// It holds mount points and links only. The container's user namespace owns it, so that its IDs are that of
		// the container, whose they are.
		c.add(NewFilesystem{Slot: SlotRoot, Type: "tmpfs", Source: "root", Options: c.labelled("tmpfs", []string{"mode=0755", "size=1m"}),
			Attributes: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}, "/root/path")
		return ""
	}
	path := c.inBundle(c.spec.Root.Path)
	c.open(SlotRoot, OpenTree{Slot: SlotRoot, Path: path, Recursive: true}, "/root/path")
	if c.o.OwnIDs {
		c.mapped = append(c.mapped, Op{MapSource{SlotRoot, true}, "/root/path"})
	}
	return path
}

// basePropagation returns what the mounts of the host become when they are taken into the container,
// before their own options apply: slaves, unless linux.rootfsPropagation says otherwise; 0 means that they
// stay peers of the host's.
func (c *compiler) basePropagation() uint64 {
	switch c.spec.Linux.RootfsPropagation {
	case "shared", "rshared":
		return 0
	case "private", "rprivate", "unbindable", "runbindable":
		return unix.MS_PRIVATE
	}
	return unix.MS_SLAVE
}

// finishMounts makes read-only what had to be written to until now, the root last.
func (c *compiler) finishMounts() {
	c.body = append(c.body, c.late...)
	if c.spec.Root.Readonly {
		c.add(SetMountAttributes{Slot: SlotRoot, Set: unix.MOUNT_ATTR_RDONLY}, "/root/readonly")
	}
}

// enterRoot makes the root filesystem the root.
func (c *compiler) enterRoot() {
	switch {
	case !c.ns.has(MountNS):
		c.add(Chroot{}, "/root/path")
	case c.o.NoPivot:
		c.add(MoveRoot{}, "/root/path")
	default:
		c.add(PivotRoot{}, "/root/path")
	}
}

// propagateRoot gives the root its propagation, when nothing is made in it any more: what is unbindable cannot
// be cloned, which making a path read-only does.
func (c *compiler) propagateRoot() {
	const origin = "/linux/rootfsPropagation"
	switch c.spec.Linux.RootfsPropagation {
	case "shared":
		c.add(SetMountAttributes{Slot: SlotRoot, Propagation: unix.MS_SHARED}, origin)
	case "rshared":
		c.add(SetMountAttributes{Slot: SlotRoot, Propagation: unix.MS_SHARED, Recursive: true}, origin)
	case "unbindable":
		c.add(SetMountAttributes{Slot: SlotRoot, Propagation: unix.MS_UNBINDABLE}, origin)
	case "runbindable":
		c.add(SetMountAttributes{Slot: SlotRoot, Propagation: unix.MS_UNBINDABLE, Recursive: true}, origin)
	}
}

// restrictPaths covers and locks paths of the container.
func (c *compiler) restrictPaths() {
	l := c.spec.Linux
	if len(l.MaskedPaths) > 0 {
		const origin = "/linux/maskedPaths"
		// From the host, because the container's /dev/null may be anything its image likes
		// (CVE-2025-31133).
		c.open(SlotNull, OpenTree{Slot: SlotNull, Path: "/dev/null", NoFollow: true,
			Device: &Device{Type: 'c', Major: 1, Minor: 3}}, origin)
		c.add(NewFilesystem{Slot: SlotEmpty, Type: "tmpfs", Source: "tmpfs",
			Options: c.labelled("tmpfs", []string{"ro", "mode=0555", "nr_blocks=1", "nr_inodes=1"}),
			Attributes: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV |
				unix.MOUNT_ATTR_NOEXEC}, origin)
		for i, p := range l.MaskedPaths {
			c.add(MaskPath{p}, at(origin, i))
		}
	}
	for i, p := range l.ReadonlyPaths {
		c.add(ReadonlyPath{p}, at("/linux/readonlyPaths", i))
	}
}
