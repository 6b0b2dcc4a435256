package idmap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime/plan"
)

// helperFacts is what there is to know of a helper that has failed.
type helperFacts struct {
	path string
	// mode and owner are the file's; fileCaps those that its attribute security.capability permits.
	mode, owner uint32
	fileCaps    uint64
	nosuid      bool // its mount
	noNewPrivs  bool // of bailey
	grants
}

// grants is what a file says of a user's subordinate IDs.
type grants struct {
	file string
	// text is the file's; missing: there is none.
	text    string
	missing bool
	// uid and name are the user's; own is the user's ID of the kind that the file is about.
	uid, name string
	own       uint64
}

func (k kind) grants() grants {
	g := grants{file: k.subids, uid: strconv.Itoa(os.Getuid()), own: uint64(k.own())}
	g.name = userName(g.uid)
	text, err := os.ReadFile(k.subids)
	g.text, g.missing = string(text), errors.Is(err, unix.ENOENT)
	return g
}

// lookAt collects the facts of a helper.
func lookAt(k kind, path string) helperFacts {
	f := helperFacts{path: path, grants: k.grants()}
	var st unix.Stat_t
	if unix.Stat(path, &st) == nil {
		f.mode, f.owner = st.Mode, st.Uid
	}
	var attr [24]byte
	if n, err := unix.Getxattr(path, "security.capability", attr[:]); err == nil {
		f.fileCaps = permitted(attr[:n])
	}
	var fs unix.Statfs_t
	f.nosuid = unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_NOSUID != 0
	nnp, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	f.noNewPrivs = err == nil && nnp == 1
	return f
}

// permitted returns the permitted set in an attribute security.capability (struct vfs_cap_data in linux/capability.h).
func permitted(attr []byte) uint64 {
	if len(attr) < 16 {
		return 0
	}
	return uint64(binary.LittleEndian.Uint32(attr[4:])) | uint64(binary.LittleEndian.Uint32(attr[12:]))<<32
}

// capability is what writing a map for others takes.
func (k kind) capability() (number int, name string) {
	if k.file == groups.file {
		return unix.CAP_SETGID, "cap_setgid"
	}
	return unix.CAP_SETUID, "cap_setuid"
}

// explainHelper says why the helper has failed: for want of privileges of its own, which it loses when packages are unpacked
// into images or its mount is nosuid; or because of IDs that the user was not granted.
func (k kind) explainHelper(f helperFacts, maps []plan.IDMapping) (cause, remedy string) {
	number, name := k.capability()
	setuid, capable := f.mode&unix.S_ISUID != 0, f.fileCaps>>number&1 != 0
	switch {
	case !setuid && !capable:
		return fmt.Sprintf("%s has neither the set-user-ID bit (its mode is %04o) nor the file capability %s, so it has no privileges of its own",
				f.path, f.mode&0o7777, name),
			fmt.Sprintf("reinstall its package, or as root: chmod u+s %s (or setcap %s+ep %s)", f.path, name, f.path)
	case setuid && f.owner != 0 && !capable:
		return fmt.Sprintf("%s has the set-user-ID bit but belongs to user %d, so that it does not run as root", f.path, f.owner),
			"as root: chown root:root " + f.path + " && chmod u+s " + f.path
	case f.nosuid:
		return f.path + " lies on a filesystem that is mounted nosuid, which takes its privileges away",
			"mount it without nosuid, or install the helper elsewhere and put that directory first in PATH"
	case f.noNewPrivs:
		return "bailey runs with no_new_privs (NoNewPrivs in /proc/self/status), which takes the privileges of " + f.path + " away",
			"start bailey without it (systemd: NoNewPrivileges=no; Kubernetes: allowPrivilegeEscalation: true), or map only your own ID"
	}
	return f.explain(maps)
}

// explain says which line is missing for these maps.
func (g grants) explain(maps []plan.IDMapping) (cause, remedy string) {
	if g.missing {
		return g.file + " does not exist, so nobody is granted any IDs",
			"as root: create it with a line such as " + strconv.Quote(g.account()+":100000:65536")
	}
	granted := parseSubIDs(g.text, g.name, g.uid)
	all := append(granted[:len(granted):len(granted)], span{g.own, 1})
	for _, m := range maps {
		first, size := uint64(m.Host), uint64(m.Size)
		if covered(all, first, size) {
			continue
		}
		cause = fmt.Sprintf("%s has no line for user %s, who may therefore map nothing but %d", g.file, g.who(), g.own)
		if len(granted) > 0 {
			cause = fmt.Sprintf("%s grants user %s the IDs %s, and not all of %s", g.file, g.who(), describe(granted), describe([]span{{first, size}}))
		}
		if of := g.holder(first, size); of != "" {
			return cause + "; of those some are granted to " + of, "map only what is granted to you, or as root grant a range that nobody has: " +
				"usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST " + g.account()
		}
		if first < firstSub {
			// Those of the machine's own users: not to be given away on the advice of a message.
			return cause, "map only what is granted"
		}
		return cause, fmt.Sprintf("as root: add the line \"%s:%d:%d\" to %s; or map only what is granted", g.account(), first, size, g.file)
	}
	return "", ""
}

// firstSub is where subordinate IDs begin; what is below is for users and services.
const firstSub = 65536

// account is how a line names the user.
func (g grants) account() string {
	if g.name != "" {
		return g.name
	}
	return g.uid
}

func (g grants) who() string {
	if g.name != "" {
		return g.uid + " (" + g.name + ")"
	}
	return g.uid
}

func describe(spans []span) string {
	var parts []string
	for _, s := range spans {
		if s.size == 1 {
			parts = append(parts, fmt.Sprint(s.first))
			continue
		}
		parts = append(parts, fmt.Sprintf("%d to %d", s.first, s.first+s.size-1))
	}
	return strings.Join(parts, ", ")
}

// holder names another account that is granted some of the IDs, or is "".
func (g grants) holder(first, size uint64) string {
	for line := range strings.Lines(g.text) {
		line = strings.TrimSpace(line)
		account, _, _ := strings.Cut(line, ":")
		if account == "" || account == g.uid || account == g.name || account[0] == '#' {
			continue
		}
		for _, s := range parseSubIDs(line, account, account) {
			if s.first < first+size && first < s.first+s.size {
				return account + " (the line " + strconv.Quote(line) + ")"
			}
		}
	}
	return ""
}
