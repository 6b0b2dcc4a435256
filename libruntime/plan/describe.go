package plan

import (
	"fmt"
	"strconv"
	"strings"
)

// What the actions of bailey and of stage 0 do, in words.

func (a OpenNamespace) String() string {
	return "open the " + a.Type.String() + " namespace " + a.Path
}

func (a CreateCgroup) String() string {
	if a.Unit != "" {
		return "have systemd start " + a.Unit + " and set its limits"
	}
	return "make the cgroup and set its limits"
}

func (a OpenTree) String() string {
	var b strings.Builder
	switch {
	case a.Device != nil:
		b.WriteString("take the device " + a.Path + " (" + a.Device.String() + ")")
	case a.Filesystem != "":
		b.WriteString("clone the mount of " + a.Path + ", a " + a.Filesystem + ",")
	default:
		b.WriteString("clone the mount of " + a.Path)
	}
	if a.Recursive {
		b.WriteString(" with all below it")
	}
	if a.NoFollow && a.Device == nil {
		b.WriteString(", not followed if it is a symbolic link,")
	}
	if a.IDMap != "" {
		b.WriteString(", owners" + recursively(a.IDMapRecursive) + " shown by the maps of " + string(a.IDMap) + ",")
	}
	if a.Inside {
		b.WriteString(" in the container's mount namespace")
	}
	return b.String() + " as " + string(a.Slot)
}

func (a MakeUserNamespace) String() string {
	return "make a user namespace with user IDs " + join(a.UIDs) + " and group IDs " + join(a.GIDs) + " as " + string(a.Slot)
}

func (a OpenDirectory) String() string { return "open " + a.Path + " as " + string(a.Slot) }

// String returns the device in the form of ls(1): "c 1:3".
func (d Device) String() string {
	if d.Type == 'p' {
		return "p"
	}
	return fmt.Sprintf("%c %d:%d", d.Type, d.Major, d.Minor)
}

func (m IDMapping) String() string {
	if m.Size == 1 {
		return fmt.Sprintf("%d→%d", m.Container, m.Host)
	}
	return fmt.Sprintf("%d–%d→%d–%d", m.Container, uint64(m.Container)+uint64(m.Size)-1,
		m.Host, uint64(m.Host)+uint64(m.Size)-1)
}

func (a WriteIDMaps) String() string {
	return "map users " + join(a.UIDs) + " and groups " + join(a.GIDs)
}

func (a SendDescriptors) String() string {
	names := make([]string, len(a.Slots))
	for i, s := range a.Slots {
		names[i] = string(s)
	}
	return "hand over " + strings.Join(names, ", ")
}

func (a MapOwners) String() string {
	return "show the owners in " + string(a.Slot) + " by the maps of " + string(a.IDMap)
}

func (a MapSource) String() string {
	return "show the owners in " + string(a.Slot) + recursively(a.Recursive) + " by the maps of the container"
}

// in names the namespace that something is done in.
func in(kind Namespace, slot Slot) string {
	if slot == "" {
		return " in the caller's " + kind.String() + " namespace"
	}
	return " in " + string(slot)
}

func (a NewFilesystemIn) String() string {
	s := "make a " + a.Type + in(a.Kind, a.Namespace)
	if words := attributeWords(a.Attributes, 0); len(words) > 0 {
		s += " (" + strings.Join(words, ",") + ")"
	}
	return s + " as " + string(a.Slot)
}

func (a NewOverlay) String() string {
	s := "make an overlay in the caller's mount namespace with " + strings.Join(a.Options, ",")
	if words := attributeWords(a.Attributes, 0); len(words) > 0 {
		s += " (" + strings.Join(words, ",") + ")"
	}
	return s + " as " + string(a.Slot)
}

func (a WriteSysctlIn) String() string {
	return "write " + a.Value + " to " + a.Key + in(a.Kind, a.Namespace)
}

func (a NewDevice) String() string {
	return fmt.Sprintf("make %v with mode %04o for %d:%d as %s", a.Device, a.Mode, a.UID, a.GID, a.Slot)
}

func (a JoinResctrl) String() string {
	s := "join the resctrl class " + a.Class
	if a.Class == "" {
		s = "join a resctrl class of its own"
	}
	if len(a.Schemata) > 0 && !a.Existing {
		s += " with " + strings.Join(a.Schemata, ", ")
	}
	if a.Monitor {
		s += ", monitored"
	}
	return s
}

func (a SetOOMScore) String() string { return "set oom_score_adj to " + strconv.Itoa(a.Score) }

func (a WriteTimeOffsets) String() string {
	return "write the offsets " + strings.Join(a.Offsets, ", ") + " of the new time namespace"
}
func (a MoveNetworkDevice) String() string {
	if a.Name == a.Inside {
		return "move the network device " + a.Name + " into the container"
	}
	return "move the network device " + a.Name + " into the container as " + a.Inside
}

func (r Rlimit) String() string {
	value := func(v uint64) string {
		if v == ^uint64(0) {
			return "unlimited"
		}
		return strconv.FormatUint(v, 10)
	}
	name := strings.ToLower(strings.TrimPrefix(r.Name, "RLIMIT_"))
	if r.Soft == r.Hard {
		return name + " " + value(r.Soft)
	}
	return name + " " + value(r.Soft) + "/" + value(r.Hard)
}

func (a SetRlimits) String() string { return "limit " + join(a.Limits) }

func (a RunHooks) String() string { return "run " + plural(a.Count, a.Point+" hook") }
func (SendState) String() string  { return "hand over the container's state" }
func (SendConsole) String() string {
	return "hand the terminal's other side to the caller"
}
func (ReportReady) String() string { return "report that the container is ready" }

func (a SetDumpable) String() string {
	if a.Dumpable {
		return "become dumpable, so that its files in /proc can be written to"
	}
	return "become undumpable again"
}
func (NotDumpable) String() string     { return "become undumpable" }
func (a JoinNamespace) String() string { return "join the " + a.Type.String() + " namespace" }
func (a JoinContainer) String() string {
	return "join the container's " + a.Types.String() + " " + many(a.Types, "namespace")
}
func (a JoinCgroup) String() string { return "move into " + string(a.Slot) }

func (a Clone) String() string {
	s := "start the container's process"
	if a.Namespaces != 0 {
		s += " in a new " + a.Namespaces.String() + " " + many(a.Namespaces, "namespace")
	}
	if a.Cgroup != "" {
		s += ", in " + string(a.Cgroup)
	}
	return s
}

// String returns the names of the kinds in n: "user, mnt and pid", in the order in which they are made.
func (n Namespace) String() string { return enumerate(n.names()) }

func (n Namespace) names() []string {
	var names []string
	for _, k := range namespaceKinds {
		if n&k.kind != 0 {
			names = append(names, k.file)
			n &^= k.kind
		}
	}
	if n != 0 {
		names = append(names, "0x"+strconv.FormatUint(uint64(n), 16))
	}
	return names
}

func many(n Namespace, word string) string {
	if n&(n-1) != 0 {
		return word + "s"
	}
	return word
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

// enumerate joins words as a sentence does: "a, b and c".
func enumerate(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

func join[T fmt.Stringer](list []T) string {
	words := make([]string, len(list))
	for i, e := range list {
		words[i] = e.String()
	}
	return strings.Join(words, ", ")
}
