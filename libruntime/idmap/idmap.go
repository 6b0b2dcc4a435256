package idmap

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/userns"
	"github.com/bailey-oci/bailey/libruntime/explain"
	"github.com/bailey-oci/bailey/libruntime/plan"
)

// Limits of the kernel for one map.
const (
	// maxLines is the number of lines (UID_GID_MAP_MAX_EXTENTS).
	maxLines = 340
	// maxBytes is what one write may hold: less than a page.
	maxBytes = 4095
)

// Write writes the maps of the process pid, which must be in a user namespace without any. It
// returns a *fault.Error whose Origin is /linux/uidMappings or /linux/gidMappings.
func Write(pid int, uids, gids []plan.IDMapping) error {
	//nolint:forbidigo // the caller's own procfs, no container's
	dir, err := unix.Open("/proc/"+strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fault.Error{Step: "open /proc/" + strconv.Itoa(pid), Syscall: "open", Err: err}
	}
	defer unix.Close(dir)
	w := writer{pid: pid, dir: dir}
	// The group map first: with the user map written the process has its capabilities, and what it
	// may do then must not depend on which of the two came in time.
	if err := w.write(groups, gids); err != nil {
		return err
	}
	return w.write(users, uids)
}

// DeniesSetgroups reports whether setgroups(2) will be denied in a user namespace with these group mappings: the kernel's
// condition for letting an ordinary user map the own group without help. Otherwise a
// group could be dropped that denies access to something. Namespaces below one that denies it do so as well.
func DeniesSetgroups(gids []specs.LinuxIDMapping) bool {
	if userns.Other() {
		if b, err := os.ReadFile("/proc/self/setgroups"); err == nil && strings.TrimSpace(string(b)) == "deny" {
			return true
		}
	}
	return os.Geteuid() != 0 && len(gids) == 1 && gids[0].Size == 1 && int64(gids[0].HostID) == int64(os.Getegid())
}

// kind is one of the two maps.
type kind struct {
	file   string // in /proc/PID
	origin string // in config.json
	helper string // the program that writes it for ordinary users
	subids string // the file with the ranges that the helper allows
	own    func() int
}

var (
	users  = kind{"uid_map", "/linux/uidMappings", "newuidmap", "/etc/subuid", os.Geteuid}
	groups = kind{"gid_map", "/linux/gidMappings", "newgidmap", "/etc/subgid", os.Getegid}
)

type writer struct {
	pid, dir int
}

func (w writer) write(k kind, maps []plan.IDMapping) error {
	if len(maps) == 0 {
		return nil
	}
	text, err := format(k, maps)
	if err != nil {
		return err
	}
	switch {
	case os.Geteuid() == 0:
	case ownOnly(k, maps):
		if k.file == groups.file {
			// See DeniesSetgroups.
			if err := w.file("setgroups", "deny"); err != nil {
				return w.failed(k, maps, err)
			}
		}
	default:
		return w.help(k, maps)
	}
	if err := w.file(k.file, text); err != nil {
		return w.failed(k, maps, err)
	}
	return nil
}

// format returns the lines of a map.
func format(k kind, maps []plan.IDMapping) (string, error) {
	if len(maps) > maxLines {
		return "", &fault.Error{Step: "write " + k.file, Origin: k.origin, Err: unix.EINVAL,
			Cause: strconv.Itoa(len(maps)) + " lines, the kernel takes at most " + strconv.Itoa(maxLines)}
	}
	var b []byte
	for _, m := range maps {
		b = strconv.AppendUint(b, uint64(m.Container), 10)
		b = append(b, ' ')
		b = strconv.AppendUint(b, uint64(m.Host), 10)
		b = append(b, ' ')
		b = strconv.AppendUint(b, uint64(m.Size), 10)
		b = append(b, '\n')
	}
	if len(b) > maxBytes {
		return "", &fault.Error{Step: "write " + k.file, Origin: k.origin, Err: unix.EINVAL,
			Cause:  strconv.Itoa(len(b)) + " bytes, the kernel takes at most " + strconv.Itoa(maxBytes) + " at once",
			Remedy: "join adjacent mappings, or use fewer"}
	}
	return string(b), nil
}

// ownOnly reports whether the map is what an ordinary user may write: one line, for the own ID.
func ownOnly(k kind, maps []plan.IDMapping) bool {
	return len(maps) == 1 && maps[0].Size == 1 && int64(maps[0].Host) == int64(k.own())
}

// file writes a file of the process in one call, as the kernel demands for maps.
func (w writer) file(name, text string) error {
	fd, err := unix.Openat(w.dir, name, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fault.Error{Step: "write " + name, Syscall: "openat", Err: err}
	}
	defer unix.Close(fd)
	n, err := unix.Write(fd, []byte(text))
	if err == nil && n != len(text) {
		err = unix.EIO
	}
	if err != nil {
		return &fault.Error{Step: "write " + name, Syscall: "write", Err: err}
	}
	return nil
}

// failed completes the error of a write with what is likely behind it.
func (w writer) failed(k kind, maps []plan.IDMapping, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}
	f.Origin = k.origin
	if !errors.Is(err, unix.EPERM) {
		return f
	}
	why := k.explainWrite(explain.Here(nil), w.pid, maps)
	f.Cause, f.Remedy = why.Cause, why.Remedy
	return f
}

// unmapped names the first mapping whose host IDs do not exist in bailey's own user namespace, the most
// frequent reason for EPERM inside another container; "" if there is none.
func unmapped(k kind, maps []plan.IDMapping) string {
	own, err := os.ReadFile("/proc/self/" + k.file)
	if err != nil {
		return ""
	}
	ranges := parse(string(own))
	for _, m := range maps {
		if !covered(ranges, uint64(m.Host), uint64(m.Size)) {
			return "the host IDs " + strconv.FormatUint(uint64(m.Host), 10) + " to " +
				strconv.FormatUint(uint64(m.Host)+uint64(m.Size)-1, 10) +
				" do not all exist in the user namespace that bailey runs in (/proc/self/" + k.file + ")"
		}
	}
	return ""
}
