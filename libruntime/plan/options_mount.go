package plan

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// optionKind says what a mount option changes.
type optionKind uint8

const (
	// attribute sets or clears an attribute of the mount.
	attribute optionKind = iota
	// attributeRecursive does so for everything mounted below it, too.
	attributeRecursive
	// propagation and propagationRecursive choose what mount events the mount takes part in.
	propagation
	propagationRecursive
	// superblock is a flag of the filesystem, understood by fsconfig(2) under the option's name.
	superblock
	bind
	bindRecursive
	remount
	copyUp
	// noFollow and coverLink take a symbolic link as the source, or the destination, itself.
	noFollow
	coverLink
	// copyLink makes a copy of a source that is a symbolic link, instead of a mount.
	copyLink
	// idmap and idmapRecursive map the owners of files.
	idmap
	idmapRecursive
	// nothing has no meaning to the mount API: it is the default, or about mount(8)'s own output.
	nothing
)

// mountOption is one word that mounts[].options may contain.
type mountOption struct {
	name string
	kind optionKind
	// value is a MOUNT_ATTR_* flag, one of the three access-time modes, or a propagation type.
	value uint64
	clear bool
}

// mountOptions are the options of config.md, "Linux mount options", those of mount(8) that runc knows, and
// crun's, sorted by name. What is not here is passed to the filesystem.
//
// The kernel knows three exclusive access-time modes, of which relatime (0) is the default, where mount(8)
// has a flag and its opposite for each: the opposites all mean the default. It has no word for iversion any more:
// filesystems that count the versions of their files always do.
var mountOptions = [...]mountOption{
	{"async", superblock, 0, false},
	{"atime", attribute, unix.MOUNT_ATTR_RELATIME, false},
	{"bind", bind, 0, false},
	{"copy-symlink", copyLink, 0, false},
	{"defaults", nothing, 0, false},
	{"dest-nofollow", coverLink, 0, false},
	{"dev", attribute, unix.MOUNT_ATTR_NODEV, true},
	{"diratime", attribute, unix.MOUNT_ATTR_NODIRATIME, true},
	{"dirsync", superblock, 0, false},
	{"exec", attribute, unix.MOUNT_ATTR_NOEXEC, true},
	{"idmap", idmap, 0, false},
	{"iversion", nothing, 0, false},
	{"lazytime", superblock, 0, false},
	{"loud", nothing, 0, false},
	{"mand", superblock, 0, false},
	{"noatime", attribute, unix.MOUNT_ATTR_NOATIME, false},
	{"nodev", attribute, unix.MOUNT_ATTR_NODEV, false},
	{"nodiratime", attribute, unix.MOUNT_ATTR_NODIRATIME, false},
	{"noexec", attribute, unix.MOUNT_ATTR_NOEXEC, false},
	{"noiversion", nothing, 0, false},
	{"nolazytime", superblock, 0, false},
	{"nomand", superblock, 0, false},
	{"norelatime", attribute, unix.MOUNT_ATTR_RELATIME, false},
	{"nostrictatime", attribute, unix.MOUNT_ATTR_RELATIME, false},
	{"nosuid", attribute, unix.MOUNT_ATTR_NOSUID, false},
	{"nosymfollow", attribute, unix.MOUNT_ATTR_NOSYMFOLLOW, false},
	{"private", propagation, unix.MS_PRIVATE, false},
	{"ratime", attributeRecursive, unix.MOUNT_ATTR_RELATIME, false},
	{"rbind", bindRecursive, 0, false},
	{"rdev", attributeRecursive, unix.MOUNT_ATTR_NODEV, true},
	{"rdiratime", attributeRecursive, unix.MOUNT_ATTR_NODIRATIME, true},
	{"relatime", attribute, unix.MOUNT_ATTR_RELATIME, false},
	{"remount", remount, 0, false},
	{"rexec", attributeRecursive, unix.MOUNT_ATTR_NOEXEC, true},
	{"ridmap", idmapRecursive, 0, false},
	{"rnoatime", attributeRecursive, unix.MOUNT_ATTR_NOATIME, false},
	{"rnodev", attributeRecursive, unix.MOUNT_ATTR_NODEV, false},
	{"rnodiratime", attributeRecursive, unix.MOUNT_ATTR_NODIRATIME, false},
	{"rnoexec", attributeRecursive, unix.MOUNT_ATTR_NOEXEC, false},
	{"rnorelatime", attributeRecursive, unix.MOUNT_ATTR_RELATIME, false},
	{"rnostrictatime", attributeRecursive, unix.MOUNT_ATTR_RELATIME, false},
	{"rnosuid", attributeRecursive, unix.MOUNT_ATTR_NOSUID, false},
	{"rnosymfollow", attributeRecursive, unix.MOUNT_ATTR_NOSYMFOLLOW, false},
	{"ro", attribute, unix.MOUNT_ATTR_RDONLY, false},
	{"rprivate", propagationRecursive, unix.MS_PRIVATE, false},
	{"rrelatime", attributeRecursive, unix.MOUNT_ATTR_RELATIME, false},
	{"rro", attributeRecursive, unix.MOUNT_ATTR_RDONLY, false},
	{"rrw", attributeRecursive, unix.MOUNT_ATTR_RDONLY, true},
	{"rshared", propagationRecursive, unix.MS_SHARED, false},
	{"rslave", propagationRecursive, unix.MS_SLAVE, false},
	{"rstrictatime", attributeRecursive, unix.MOUNT_ATTR_STRICTATIME, false},
	{"rsuid", attributeRecursive, unix.MOUNT_ATTR_NOSUID, true},
	{"rsymfollow", attributeRecursive, unix.MOUNT_ATTR_NOSYMFOLLOW, true},
	{"runbindable", propagationRecursive, unix.MS_UNBINDABLE, false},
	{"rw", attribute, unix.MOUNT_ATTR_RDONLY, true},
	{"shared", propagation, unix.MS_SHARED, false},
	{"silent", nothing, 0, false},
	{"slave", propagation, unix.MS_SLAVE, false},
	{"src-nofollow", noFollow, 0, false},
	{"strictatime", attribute, unix.MOUNT_ATTR_STRICTATIME, false},
	{"suid", attribute, unix.MOUNT_ATTR_NOSUID, true},
	{"symfollow", attribute, unix.MOUNT_ATTR_NOSYMFOLLOW, true},
	{"sync", superblock, 0, false},
	{"tmpcopyup", copyUp, 0, false},
	{"unbindable", propagation, unix.MS_UNBINDABLE, false},
}

// MountOptions returns the names of the mount options that plans can carry out, sorted.
func MountOptions() []string {
	names := make([]string, 0, len(mountOptions))
	for _, o := range mountOptions {
		names = append(names, o.name)
	}
	return names
}

func findMountOption(name string) (mountOption, bool) {
	i, ok := slices.BinarySearchFunc(mountOptions[:], name,
		func(o mountOption, name string) int { return strings.Compare(o.name, name) })
	if !ok {
		return mountOption{}, false
	}
	return mountOptions[i], true
}

// attributes is a change to a mount's MOUNT_ATTR_* flags in the form of mount_setattr(2).
type attributes struct{ set, clear uint64 }

// apply adds an option; a later one wins over an earlier one that it contradicts.
func (a *attributes) apply(o mountOption) {
	switch o.value {
	case unix.MOUNT_ATTR_RELATIME, unix.MOUNT_ATTR_NOATIME, unix.MOUNT_ATTR_STRICTATIME:
		// A mode is a value of several bits: the kernel wants all of them cleared to set one.
		a.clear |= unix.MOUNT_ATTR__ATIME
		a.set = a.set&^unix.MOUNT_ATTR__ATIME | o.value
		return
	}
	if o.clear {
		a.clear |= o.value
		a.set &^= o.value
	} else {
		a.set |= o.value
		a.clear &^= o.value
	}
}

func (a attributes) isZero() bool { return a == attributes{} }

// propagationChange is one change of propagation.
type propagationChange struct {
	kind      uint64
	recursive bool
}

// parsedOptions are the options of one mount.
type parsedOptions struct {
	bind, recursive, remount, copyUp, noFollow, coverLink, copyLink bool

	mount, tree attributes
	propagation []propagationChange
	// parameters are for the filesystem: its own and the superblock's flags.
	parameters []string
	idmap      ownersMapped
}

// ownersMapped is what the options idmap and ridmap say.
type ownersMapped struct {
	asked, recursive bool
	// mapping is what follows "idmap=".
	mapping string
}

// propagationOnly reports whether a mount of this type only changes the propagation of what is mounted already.
func (p *parsedOptions) propagationOnly(fsType string) bool {
	return (fsType == "" || fsType == "none") && !p.bind && !p.remount && len(p.propagation) > 0
}

// all returns the changes for a mount that has nothing below it, where a recursive option means the same as
// the plain one.
func (p *parsedOptions) all() attributes {
	return attributes{
		set:   p.mount.set&^p.tree.clear | p.tree.set,
		clear: p.mount.clear&^p.tree.set | p.tree.clear,
	}
}

// parseMountOptions takes the options of a mount apart. Like the command line of mount(8), one element may
// hold several, separated by commas; a comma within double quotes (SELinux categories) or behind a
// backslash (overlay paths) is part of the option.
func parseMountOptions(options []string) parsedOptions {
	var p parsedOptions
	for _, element := range options {
		for element != "" {
			var name string
			name, element = cutOption(element)
			p.add(name)
		}
	}
	return p
}

func (p *parsedOptions) add(name string) {
	if name == "" {
		return
	}
	o, known := findMountOption(name)
	if !known {
		word, mapping, _ := strings.Cut(name, "=")
		if word != "idmap" && word != "ridmap" {
			p.parameters = append(p.parameters, name)
			return
		}
		o, _ = findMountOption(word)
		p.idmap.mapping = mapping
	}
	switch o.kind {
	case attribute:
		p.mount.apply(o)
	case attributeRecursive:
		p.tree.apply(o)
	case propagation, propagationRecursive:
		p.propagation = append(p.propagation, propagationChange{o.value, o.kind == propagationRecursive})
	case superblock:
		p.parameters = append(p.parameters, name)
	case bind:
		p.bind = true
	case bindRecursive:
		p.bind, p.recursive = true, true
	case remount:
		p.remount = true
	case copyUp:
		p.copyUp = true
	case noFollow:
		p.noFollow = true
	case coverLink:
		p.coverLink = true
	case copyLink:
		p.copyLink = true
	case idmap, idmapRecursive:
		p.idmap.asked, p.idmap.recursive = true, o.kind == idmapRecursive
	}
}

// cutOption splits s at its first comma that separates options.
func cutOption(s string) (option, rest string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			quoted = !quoted
		case '\\':
			i++
		case ',':
			if !quoted {
				return s[:i], s[i+1:]
			}
		}
	}
	return s, ""
}
