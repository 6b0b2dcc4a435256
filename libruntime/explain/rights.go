package explain

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime/plan"
)

// becomeRoot explains why root of the container's user namespace cannot be taken on.
func (m *Machine) becomeRoot(f *Failure) Why {
	switch {
	case refused(f.Errno):
		return m.AppArmor(f.PID)
	case f.Errno == unix.EINVAL:
		kind := "uid"
		if f.Syscall == "setresgid" {
			kind = "gid"
		}
		if text := m.read(fmt.Sprintf("/proc/%d/%s_map", f.PID, kind)); !mapped(text, 0) {
			return Why{"the user namespace has no " + kind + " 0, so that nobody in it can make a container: its " + kind + "_map is " + oneLine(text),
				"map an ID to 0: add a line with containerID 0 to linux." + kind + "Mappings"}
		}
	}
	return Why{}
}

// setIDs explains why the payload's IDs cannot be taken on: those that a user namespace which was joined does not have. (Those of
// a new one are checked beforehand.)
func (m *Machine) setIDs(a plan.SetIDs, f *Failure) Why {
	kind, ids := "gid", []uint32{a.GID}
	switch f.Syscall {
	case "setresuid":
		kind, ids = "uid", []uint32{a.UID}
	case "setgroups":
		ids = a.Groups
		if f.Errno == unix.EPERM && m.read(fmt.Sprintf("/proc/%d/setgroups", f.PID)) == "deny" {
			return Why{"the container's user namespace denies setgroups (/proc/PID/setgroups), as one does that an ordinary user has made with a single group",
				"remove process.user.additionalGids, or have newgidmap map more groups (a line in /etc/subgid)"}
		}
	}
	if f.Errno != unix.EINVAL {
		return Why{}
	}
	text := m.read(fmt.Sprintf("/proc/%d/%s_map", f.PID, kind))
	for _, id := range ids {
		if text != "" && !mapped(text, id) {
			return Why{fmt.Sprintf("%s %d does not exist in the container's user namespace, whose %s_map is %s", kind, id, kind, oneLine(text)),
				"use an ID that does, or a user namespace that has it"}
		}
	}
	return Why{}
}

// mapped reports whether an ID is inside the namespace that a map file describes.
func mapped(text string, id uint32) bool {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		first, err1 := strconv.ParseUint(f[0], 10, 32)
		size, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 == nil && err2 == nil && uint64(id) >= first && uint64(id) < first+size {
			return true
		}
	}
	return false
}

// oneLine shows a map file in a line.
func oneLine(text string) string {
	if text == "" {
		return "empty"
	}
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strconv.Quote(list(lines))
}

// device explains why a device node cannot be made.
func (m *Machine) device(a plan.MakeDevice, f *Failure) Why {
	if !refused(f.Errno) {
		return Why{}
	}
	if why := m.Lacks(unix.CAP_MKNOD, "CAP_MKNOD", true, "making the device node "+a.Path); why != (Why{}) {
		why.Remedy += "; or give the container a user namespace, for which the host's own node is bind-mounted"
		return why
	}
	if s, ok := look(f.Evidence); ok && s.flags&unix.ST_RDONLY != 0 {
		return m.notOurs(s, unix.EROFS, plan.WriteIDMaps{}, false)
	}
	return Why{}
}

// parameter explains why a kernel parameter cannot be written.
func (m *Machine) parameter(key string, f *Failure) Why {
	errno := f.Errno
	name := strings.ReplaceAll(key, "/", ".")
	switch {
	case errno == unix.ENOENT && m.exists("/proc/sys/"+key):
		return Why{"the kernel has the parameter " + name + " only once for the whole machine: bailey sees it, a namespace of the container's own does not",
			"set it on the host, as root: sysctl -w " + name + "=VALUE, and take it out of linux.sysctl"}
	case errno == unix.ENOENT && m.exists("/proc/sys"):
		return Why{"this kernel has no parameter " + name + ": bailey sees none either", "correct its name, or load the module that has it"}
	case refused(errno) && readOnly(f):
		return Why{"in a namespace of the container's own the parameter " + name + " may only be read: it is the machine's, not the namespace's",
			"set it on the host, as root: sysctl -w " + name + "=VALUE, and take it out of linux.sysctl"}
	case refused(errno) && f.shares(key):
		return Why{"the file belongs to root of the user namespace that owns the namespace which the parameter is about, and the container's root is another",
			"have the container make that namespace itself, or set the parameter where the namespace was made"}
	}
	return Why{}
}

// shares reports whether the container has not made the namespace that a parameter is about.
func (f *Failure) shares(key string) bool {
	made, known := f.made()
	kind := plan.IPCNS
	switch {
	case strings.HasPrefix(key, "net/"):
		kind = plan.NetworkNS
	case key == "kernel/domainname":
		kind = plan.UTSNS
	case strings.HasPrefix(key, "user/"):
		kind = plan.UserNS
	}
	return known && made&kind == 0
}

// readOnly reports whether what the failing process could not write to is writable for nobody.
func readOnly(f *Failure) bool {
	s, ok := look(f.Evidence)
	return ok && !s.dir() && s.mode&0o222 == 0
}
