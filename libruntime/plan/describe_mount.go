package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What the actions on mounts do, in words.

func propagationName(p uint64) string {
	switch p {
	case unix.MS_PRIVATE:
		return "private"
	case unix.MS_SLAVE:
		return "slave"
	case unix.MS_SHARED:
		return "shared"
	case unix.MS_UNBINDABLE:
		return "unbindable"
	}
	return "0x" + strconv.FormatUint(p, 16)
}

// attributeNames are the words of mount(8) for a set and a cleared MOUNT_ATTR_* flag.
var attributeNames = [...]struct {
	bit        uint64
	set, clear string
}{
	{unix.MOUNT_ATTR_RDONLY, "ro", "rw"},
	{unix.MOUNT_ATTR_NOSUID, "nosuid", "suid"},
	{unix.MOUNT_ATTR_NODEV, "nodev", "dev"},
	{unix.MOUNT_ATTR_NOEXEC, "noexec", "exec"},
	{unix.MOUNT_ATTR_NODIRATIME, "nodiratime", "diratime"},
	{unix.MOUNT_ATTR_NOSYMFOLLOW, "nosymfollow", "symfollow"},
}

// attributeWords returns a change of attributes in the words of mount(8).
func attributeWords(set, clear uint64) []string {
	var words []string
	for _, a := range attributeNames {
		switch {
		case set&a.bit != 0:
			words = append(words, a.set)
		case clear&a.bit != 0:
			words = append(words, a.clear)
		}
		set &^= a.bit
		clear &^= a.bit
	}
	switch mode := set & unix.MOUNT_ATTR__ATIME; {
	case mode == unix.MOUNT_ATTR_NOATIME:
		words = append(words, "noatime")
	case mode == unix.MOUNT_ATTR_STRICTATIME:
		words = append(words, "strictatime")
	case mode == 0 && clear&unix.MOUNT_ATTR__ATIME != 0:
		words = append(words, "relatime")
	}
	if rest := (set | clear) &^ unix.MOUNT_ATTR__ATIME; rest != 0 {
		words = append(words, "0x"+strconv.FormatUint(rest, 16))
	}
	return words
}

func (a SetPropagation) String() string {
	return "make every mount " + propagationName(a.Type)
}

func (a AttachRoot) String() string {
	if a.Path == "" {
		return "attach root over /"
	}
	return "attach root over " + a.Path
}

func (a NewFilesystem) String() string {
	article := "a "
	if a.Type != "" && strings.Contains("aeiou", a.Type[:1]) {
		article = "an "
	}
	s := "make " + article + a.Type
	if a.Source != "" && a.Source != a.Type {
		s += " of " + a.Source
	}
	words := slices.Clone(a.Options)
	for _, w := range attributeWords(a.Attributes, 0) {
		// "ro" may stand for the superblock and for the mount.
		if !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	if len(words) > 0 {
		s += " (" + strings.Join(words, ",") + ")"
	}
	return s + " as " + string(a.Slot)
}

func (a SetMountAttributes) String() string {
	words := attributeWords(a.Set, a.Clear)
	if a.Propagation != 0 {
		words = append(words, propagationName(a.Propagation))
	}
	return "make " + string(a.Slot) + recursively(a.Recursive) + " " + strings.Join(words, ",")
}

func recursively(r bool) string {
	if r {
		return " and all below it"
	}
	return ""
}

// String returns what is made, in a word.
func (k CreateKind) String() string {
	return [...]string{"nothing", "directory", "file", "like source"}[k]
}

func (a Attach) String() string {
	s := "attach " + string(a.Slot) + " at " + a.Path
	if a.CopyUp {
		s += ", with a copy of what it covers"
	}
	return s
}

func (a RemountInPlace) String() string {
	words := attributeWords(a.Set, a.Clear)
	if a.Propagation != 0 {
		words = append(words, propagationName(a.Propagation))
	}
	return "make what is mounted at " + a.Path + recursively(a.Recursive) + " " + strings.Join(words, ",")
}

func (a MakeDirectory) String() string {
	return fmt.Sprintf("make the directory %s (%04o)", a.Path, a.Mode)
}

func (a MakeDevice) String() string {
	s := fmt.Sprintf("make the device %s (%s, %04o", a.Path, a.Device, a.Mode)
	if a.UID != 0 || a.GID != 0 {
		s += fmt.Sprintf(", owner %d:%d", a.UID, a.GID)
	}
	return s + ")"
}

func (a MakeSymlink) String() string { return "make the link " + a.Path + " to " + a.Target }

func (a Unmount) String() string { return "detach what is mounted at " + a.Path }

func (a OpenMount) String() string {
	if a.Type == "" {
		return "open " + a.Path + " as " + string(a.Slot)
	}
	return "open the " + a.Type + " at " + a.Path + " as " + string(a.Slot)
}

func (a OpenConsole) String() string {
	s := "make a terminal"
	if a.Devpts != "" {
		s += " of " + string(a.Devpts)
	} else {
		s += " of the caller's devpts"
	}
	if a.Width != 0 || a.Height != 0 {
		s += fmt.Sprintf(", %d by %d", a.Width, a.Height)
	}
	return s + fmt.Sprintf(", owner %d", a.UID)
}

func (a AttachConsole) String() string { return "attach the terminal at " + a.Path }
func (PivotRoot) String() string       { return "pivot into root and detach the old one" }
func (MoveRoot) String() string        { return "move root over the old root and enter it" }
func (Chroot) String() string          { return "enter root" }
func (a MaskPath) String() string      { return "cover " + a.Path }
func (a ReadonlyPath) String() string  { return "make " + a.Path + " read-only" }
