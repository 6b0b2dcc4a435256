package plan

import (
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// cgroupMount adds a mount of the type cgroup, which shows the container its own cgroups: the unified
// hierarchy at the destination itself, v1 hierarchies as directories of a tmpfs there.
//
// The tree can be written to only with a cgroup namespace (CVE-2023-25809): without one, what is shown is
// part of the host's hierarchy.
func (c *compiler) cgroupMount(m *mountJob) error {
	hierarchies := c.o.CgroupMounts
	if m.Type == "cgroup2" {
		hierarchies = slices.DeleteFunc(slices.Clone(hierarchies), func(h CgroupMount) bool { return h.Data != "" })
		for i := range hierarchies {
			hierarchies[i].Name = ""
		}
	}
	private := c.ns.has(CgroupNS)
	if len(hierarchies) == 0 {
		if !private {
			return m.fault(errMissing, "the container has no cgroup and no cgroup namespace, so there is nothing to show",
				"add a cgroup namespace, or remove the mount")
		}
		hierarchies = []CgroupMount{{}}
	}
	set := m.options.all().set
	if !private {
		set |= unix.MOUNT_ATTR_RDONLY
	}
	if len(hierarchies) == 1 && hierarchies[0].Name == "" {
		c.cgroupHierarchy(m, m.slot, m.destination, hierarchies[0], set)
		return nil
	}

	c.add(NewFilesystem{Slot: m.slot, Type: "tmpfs", Source: "tmpfs",
		Options:    c.labelled("tmpfs", []string{"mode=755"}),
		Attributes: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC}, m.origin)
	c.add(Attach{Slot: m.slot, Path: m.destination, Create: CreateDirectory, NoSymlinks: m.inside("/sys")}, m.origin)
	for i, h := range hierarchies {
		c.cgroupHierarchy(m, m.slot+Slot("/"+strconv.Itoa(i)), m.destination+"/"+h.Name, h, set)
		for _, link := range h.Links {
			c.add(MakeSymlink{Path: m.destination + "/" + link, Target: h.Name}, m.origin)
		}
	}
	if set&unix.MOUNT_ATTR_RDONLY != 0 {
		c.add(SetMountAttributes{Slot: m.slot, Set: unix.MOUNT_ATTR_RDONLY}, m.origin)
	}
	return nil
}

// cgroupHierarchy shows one hierarchy at destination: by a mount of its own, which begins at the cgroup
// namespace's root, or, without such a namespace, as a clone of the container's part of the host's.
func (c *compiler) cgroupHierarchy(m *mountJob, slot Slot, destination string, h CgroupMount, set uint64) {
	if c.ns.has(CgroupNS) {
		fs := NewFilesystem{Slot: slot, Type: "cgroup2", Source: "cgroup", Attributes: set}
		if h.Data != "" {
			fs.Type = "cgroup"
			for rest := h.Data; rest != ""; {
				var option string
				option, rest = cutOption(rest)
				fs.Options = append(fs.Options, option)
			}
		}
		// Options of the hierarchy ("nsdelegate") are the host's; the kernel lets only its own cgroup
		// namespace change them, and fails otherwise.
		fs.Options = append(fs.Options, m.options.parameters...)
		c.add(fs, m.origin)
	} else {
		c.open(slot, OpenTree{Slot: slot, Path: h.Path, Recursive: false}, m.origin)
		// Nothing of the host's propagates here: its mounts below a cgroup are none of the container's.
		c.add(SetMountAttributes{Slot: slot, Set: set, Clear: m.options.all().clear &^ set,
			Propagation: unix.MS_PRIVATE}, m.origin)
	}
	c.add(Attach{Slot: slot, Path: destination, Create: CreateDirectory, NoSymlinks: m.inside("/sys")}, m.origin)
}
