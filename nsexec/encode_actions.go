package nsexec

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/cpulist"
	"github.com/bailey-oci/bailey/libruntime/plan"
)

// action encodes what the preamble itself executes. Slots, numbers and strings stand where wire.h says.
func (e *encoder) action(a plan.Action) error {
	switch a := a.(type) {
	case plan.NotDumpable:
		e.code(wire_OP_NOT_DUMPABLE)
	case plan.SetDumpable:
		e.code(wire_OP_SET_DUMPABLE)
		if a.Dumpable {
			e.num(1)
		}
	case plan.JoinNamespace:
		e.code(wire_OP_JOIN_NAMESPACE)
		e.slot(0, a.Slot)
		e.num(uint64(a.Type))
	case plan.JoinContainer:
		e.code(wire_OP_JOIN_CONTAINER)
		e.slot(0, a.Slot)
		e.num(uint64(a.Types))
	case plan.JoinCgroup:
		e.code(wire_OP_JOIN_CGROUP)
		e.slot(0, a.Slot)
	case plan.Clone:
		e.code(wire_OP_CLONE)
		e.slot(0, a.Cgroup)
		e.num(uint64(a.Namespaces) | e.cloneFlags)
	case plan.BecomeRoot:
		e.code(wire_OP_BECOME_ROOT)
		e.flag(a.KeepGroups, wire_FLAG_KEEP_GROUPS)
	case plan.Unshare:
		e.code(wire_OP_UNSHARE)
		e.num(uint64(a.Namespaces))
	case plan.EnterTimeNamespace:
		e.code(wire_OP_ENTER_TIME_NAMESPACE)
		e.slot(0, plan.SlotProc)
	case plan.OpenProc:
		e.code(wire_OP_OPEN_PROC)
		e.slot(0, plan.SlotProc)
	case plan.LoopbackUp:
		e.code(wire_OP_LOOPBACK_UP)
	case plan.SetHostname:
		e.code(wire_OP_SET_HOSTNAME)
		e.text(0, a.Name)
	case plan.SetDomainname:
		e.code(wire_OP_SET_DOMAINNAME)
		e.text(0, a.Name)
	case plan.WriteSysctl:
		e.code(wire_OP_WRITE_SYSCTL)
		e.slot(0, plan.SlotProc)
		e.text(0, a.Key)
		e.text(1, a.Value)
	case plan.LimitNamespaces:
		e.code(wire_OP_LIMIT_NAMESPACES)
		e.slot(0, plan.SlotProc)
		e.list(0, limits(a.Limits))
	case plan.Seal:
		e.code(wire_OP_SEAL)
		e.slot(0, plan.SlotProc)
		e.num(uint64(a.Namespaces))
		e.text(0, idMap(a.UIDs))
		e.text(1, idMap(a.GIDs))
		if len(a.Limits) > 0 {
			e.list(2, limits(a.Limits))
		}
	case plan.ProveSeal:
		e.code(wire_OP_PROVE_SEAL)
		e.slot(0, plan.SlotProc)
		if len(a.Masked) > 0 {
			e.list(0, a.Masked)
		}
		if len(a.Readonly) > 0 {
			e.list(1, a.Readonly)
		}
	default:
		return e.mountAction(a)
	}
	return nil
}

// limits returns the parameters and values that limits stand for, in turn.
func limits(list []plan.NamespaceLimit) []string {
	words := make([]string, 0, 2*len(list))
	for _, l := range list {
		words = append(words, l.Key(), strconv.FormatUint(uint64(l.Most), 10))
	}
	return words
}

// idMap returns the text of a user namespace's map.
func idMap(list []plan.IDMapping) string {
	var b []byte
	for _, m := range list {
		b = fmt.Appendf(b, "%d %d %d\n", m.Container, m.Host, m.Size)
	}
	return string(b)
}

func (e *encoder) mountAction(a plan.Action) error {
	switch a := a.(type) {
	case plan.SetPropagation:
		e.code(wire_OP_SET_PROPAGATION)
		e.num(a.Type)
	case plan.AttachRoot:
		e.code(wire_OP_ATTACH_ROOT)
		e.slot(0, plan.SlotRoot)
		if a.Path != "" {
			e.text(0, a.Path)
		}
	case plan.OpenTree:
		e.code(wire_OP_CLONE_TREE)
		e.slot(0, a.Slot)
		magic, ok := plan.FilesystemMagic[a.Filesystem]
		if !ok {
			return unknownFilesystem(a.Filesystem)
		}
		e.num(magic)
		if d := a.Device; d != nil {
			e.num(magic, uint64(fileType(d.Type)), uint64(d.Major)<<32|uint64(d.Minor))
		}
		e.flag(a.Recursive, wire_FLAG_RECURSIVE)
		e.flag(a.NoFollow, wire_FLAG_TAKE_LINK)
		e.text(0, a.Path)
	case plan.NewFilesystem:
		e.code(wire_OP_NEW_FILESYSTEM)
		e.slot(0, a.Slot)
		e.num(a.Attributes)
		e.text(0, a.Type)
		if a.Source != "" {
			e.text(1, a.Source)
		}
		if len(a.Options) > 0 {
			e.list(2, a.Options)
		}
	case plan.SetMountAttributes:
		e.code(wire_OP_SET_MOUNT_ATTRIBUTES)
		e.slot(0, a.Slot)
		e.num(a.Set, a.Clear, a.Propagation)
		e.flag(a.Recursive, wire_FLAG_RECURSIVE)
	case plan.Attach:
		e.code(wire_OP_ATTACH)
		e.slot(0, a.Slot)
		e.slot(1, plan.SlotRoot)
		e.num(uint64(a.Create))
		e.flag(a.NoSymlinks, wire_FLAG_NO_SYMLINKS)
		e.flag(a.CopyUp, wire_FLAG_COPY_UP)
		e.flag(a.KeepMode, wire_FLAG_KEEP_MODE)
		e.flag(a.NoFollow, wire_FLAG_NO_FOLLOW)
		e.text(0, a.Path)
	case plan.OpenMount:
		magic, ok := plan.FilesystemMagic[a.Type]
		if !ok {
			return unknownFilesystem(a.Type)
		}
		e.code(wire_OP_OPEN_MOUNT)
		e.slot(0, a.Slot)
		e.num(magic)
		e.text(0, a.Path)
	case plan.Unmount:
		e.code(wire_OP_UNMOUNT)
		e.slot(0, plan.SlotRoot)
		e.text(0, a.Path)
	case plan.RemountInPlace:
		e.code(wire_OP_REMOUNT)
		e.slot(0, plan.SlotRoot)
		e.num(a.Set, a.Clear, a.Propagation)
		e.flag(a.Recursive, wire_FLAG_RECURSIVE)
		e.text(0, a.Path)
	case plan.MakeDirectory:
		e.code(wire_OP_MAKE_DIRECTORY)
		e.slot(0, plan.SlotRoot)
		e.num(uint64(a.Mode))
		e.text(0, a.Path)
	case plan.MakeDevice:
		e.code(wire_OP_MAKE_DEVICE)
		e.slot(0, plan.SlotRoot)
		e.num(uint64(a.Mode&0o7777|fileType(a.Device.Type)),
			uint64(a.Device.Major)<<32|uint64(a.Device.Minor), uint64(a.UID), uint64(a.GID))
		e.text(0, a.Path)
	case plan.MakeSymlink:
		e.code(wire_OP_MAKE_SYMLINK)
		e.slot(0, plan.SlotRoot)
		e.flag(a.Exact, wire_FLAG_EXACT)
		e.text(0, a.Path)
		e.text(1, a.Target)
	case plan.OpenConsole:
		e.code(wire_OP_OPEN_CONSOLE)
		e.slot(0, a.Devpts)
		e.slot(1, plan.SlotConsole)
		e.slot(2, plan.SlotConsoleMaster)
		e.num(uint64(a.Width), uint64(a.Height), uint64(a.UID))
	case plan.AttachConsole:
		e.code(wire_OP_ATTACH_CONSOLE)
		e.slot(0, plan.SlotConsole)
		e.slot(1, plan.SlotRoot)
		e.text(0, a.Path)
	case plan.PivotRoot:
		e.code(wire_OP_PIVOT_ROOT)
		e.slot(0, plan.SlotRoot)
	case plan.MoveRoot:
		e.code(wire_OP_MOVE_ROOT)
		e.slot(0, plan.SlotRoot)
	case plan.Chroot:
		e.code(wire_OP_CHROOT)
		e.slot(0, plan.SlotRoot)
	case plan.MaskPath:
		e.code(wire_OP_MASK_PATH)
		e.slot(0, plan.SlotRoot)
		e.slot(1, plan.SlotNull)
		e.slot(2, plan.SlotEmpty)
		e.text(0, a.Path)
	case plan.ReadonlyPath:
		e.code(wire_OP_READONLY_PATH)
		e.slot(0, plan.SlotRoot)
		e.text(0, a.Path)
	default:
		return e.processAction(a)
	}
	return nil
}

func (e *encoder) processAction(a plan.Action) error {
	switch a := a.(type) {
	case plan.RunHook:
		e.code(wire_OP_RUN_HOOK)
		e.slot(0, plan.SlotState)
		e.num(uint64(a.Timeout.Milliseconds()))
		e.text(0, a.Path)
		args := a.Args
		if len(args) == 0 {
			args = []string{a.Path}
		}
		e.list(1, args)
		e.list(2, a.Env)
	case plan.DropBounding:
		e.code(wire_OP_DROP_BOUNDING)
		e.num(a.Keep)
	case plan.JoinKeyring:
		e.code(wire_OP_JOIN_KEYRING)
		e.text(0, a.Name)
	case plan.SetExecLabel:
		e.code(wire_OP_SET_EXEC_LABEL)
		e.slot(0, plan.SlotProc)
		lsm := uint64(wire_LSM_APPARMOR)
		if a.LSM == "selinux" {
			lsm = wire_LSM_SELINUX
		}
		e.num(lsm)
		e.text(0, a.Label)
	case plan.NewSession:
		e.code(wire_OP_NEW_SESSION)
	case plan.ReopenConsole:
		e.code(wire_OP_REOPEN_CONSOLE)
		e.slot(0, plan.SlotConsole)
	case plan.UseConsole:
		e.code(wire_OP_USE_CONSOLE)
		e.slot(0, plan.SlotConsole)
	case plan.SetMemoryPolicy:
		nodes, err := nodeMask(a.Nodes)
		if err != nil {
			return err
		}
		e.code(wire_OP_SET_MEMORY_POLICY)
		e.num(uint64(a.Mode|a.Flags), uint64(len(nodes))*8)
		if len(nodes) > 0 {
			e.blob(0, nodes)
		}
	case plan.SetPersonality:
		e.code(wire_OP_SET_PERSONALITY)
		e.num(uint64(a.Persona))
	case plan.SetUmask:
		e.code(wire_OP_SET_UMASK)
		e.num(uint64(a.Mask))
	case plan.SetIDs:
		e.code(wire_OP_SET_IDS)
		e.num(uint64(a.UID), uint64(a.GID))
		e.flag(a.KeepGroups, wire_FLAG_KEEP_GROUPS)
		if len(a.Groups) > 0 {
			var b []byte
			for _, g := range a.Groups {
				b = binary.NativeEndian.AppendUint32(b, g)
			}
			e.blob(0, b)
		}
	case plan.SetCapabilities:
		e.code(wire_OP_SET_CAPABILITIES)
		e.num(a.Effective, a.Permitted, a.Inheritable, a.Ambient)
		e.op().flags = uint16(a.Securebits)
	case plan.SetNoNewPrivileges:
		e.code(wire_OP_SET_NO_NEW_PRIVS)
	case plan.ChangeDirectory:
		e.code(wire_OP_CHANGE_DIRECTORY)
		e.text(0, a.Path)
	case plan.ResolveExecutable:
		e.code(wire_OP_RESOLVE_EXECUTABLE)
		e.text(0, a.Name)
		e.list(1, a.Candidates)
	case plan.Verify:
		v := wireVerify{
			uid: a.UID, gid: a.GID,
			bounding: a.Bounding, effective: a.Effective,
			permitted: a.Permitted, inheritable: a.Inheritable,
			ambient: a.Ambient, securebits: uint32(a.Securebits),
		}
		if a.NoNewPrivileges {
			v.no_new_privs = 1
		}
		e.code(wire_OP_VERIFY)
		e.blob(0, unsafe.Slice((*byte)(unsafe.Pointer(&v)), unsafe.Sizeof(v)))
	case plan.AwaitStart:
		e.code(wire_OP_AWAIT_START)
		e.slot(0, a.Listener)
		e.num(stateSlot, uint64(e.preserve))
	case plan.CloseDescriptors:
		e.code(wire_OP_CLOSE_DESCRIPTORS)
		e.num(uint64(a.Preserve))
	case plan.LoadSeccomp:
		e.code(wire_OP_LOAD_SECCOMP)
		e.num(a.Flags)
		e.blob(0, a.Program)
	case plan.Exec:
		e.code(wire_OP_EXEC)
		e.list(0, a.Candidates)
		e.list(1, a.Args)
		e.list(2, a.Env)
	default:
		return fmt.Errorf("no wire form for %T", a)
	}
	return nil
}

func unknownFilesystem(kind string) error {
	return fmt.Errorf("no magic number is known for a filesystem of the kind %q", kind)
}

func fileType(t byte) uint32 {
	switch t {
	case 'b':
		return unix.S_IFBLK
	case 'p':
		return unix.S_IFIFO
	}
	return unix.S_IFCHR
}

// maxNodes is the kernel's limit on NUMA nodes (MAX_NUMNODES on x86_64 and arm64).
const maxNodes = 1024

// nodeMask turns a list such as "0-1,3" into the bit mask of set_mempolicy(2), in whole words.
func nodeMask(list string) ([]byte, error) {
	if list == "" {
		return nil, nil
	}
	mask := make([]byte, maxNodes/8)
	if err := cpulist.Each(list, maxNodes, func(n uint64) { mask[n/8] |= 1 << (n % 8) }); err != nil {
		return nil, fmt.Errorf("memory policy nodes: %w", err)
	}
	return mask, nil
}
