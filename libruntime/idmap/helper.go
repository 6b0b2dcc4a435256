package idmap

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/plan"
)

// helped reports whether there is a helper.
func (k kind) helped() bool {
	_, err := exec.LookPath(k.helper)
	return err == nil
}

// help has the helper program write a map. Every mapping is passed on, however many there are.
func (w writer) help(k kind, maps []plan.IDMapping) error {
	f := &fault.Error{Step: "write " + k.file + " through " + k.helper, Origin: k.origin}
	path, err := exec.LookPath(k.helper)
	if err != nil {
		f.Err = unix.ENOENT
		f.Cause = fmt.Sprintf("an ordinary user may only map its own ID (%d) by itself; everything else needs %s, which is not installed",
			k.own(), k.helper)
		f.Remedy = "install the package uidmap (Debian, Ubuntu) or shadow-utils, or map only your own ID"
		return f
	}
	args := []string{strconv.Itoa(w.pid)}
	for _, m := range maps {
		args = append(args, strconv.FormatUint(uint64(m.Container), 10),
			strconv.FormatUint(uint64(m.Host), 10), strconv.FormatUint(uint64(m.Size), 10))
	}
	var stderr bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &stderr, &stderr
	if err = cmd.Run(); err == nil {
		return nil
	}
	f.Err = err
	if text := strings.TrimSpace(stderr.String()); text != "" {
		f.Err = fmt.Errorf("%w: %s", err, strings.ReplaceAll(text, "\n", "; "))
	}
	f.Cause, f.Remedy = explainHelper(k, path, maps)
	return f
}

// explainHelper looks for why the helper failed: a range that /etc/subuid does not grant, or a helper
// that has lost its privileges, which happens when packages are unpacked into images.
func explainHelper(k kind, path string, maps []plan.IDMapping) (cause, remedy string) {
	uid := strconv.Itoa(os.Getuid())
	if text, err := os.ReadFile(k.subids); err == nil {
		granted := parseSubIDs(string(text), userName(uid), uid)
		granted = append(granted, span{uint64(k.own()), 1})
		for _, m := range maps {
			if !covered(granted, uint64(m.Host), uint64(m.Size)) {
				return fmt.Sprintf("%s does not grant the IDs %d to %d to user %s", k.subids, m.Host,
						uint64(m.Host)+uint64(m.Size)-1, uid),
					fmt.Sprintf("add the line \"%s:%d:%d\" to %s", uid, m.Host, m.Size, k.subids)
			}
		}
	} else if errors.Is(err, unix.ENOENT) {
		return k.subids + " does not exist, so no IDs are granted to anybody", "create it with a line \"" + uid + ":100000:65536\""
	}
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return "", ""
	}
	xattr, _ := unix.Getxattr(path, "security.capability", nil)
	if st.Mode&unix.S_ISUID == 0 && xattr <= 0 {
		return path + " has neither the setuid bit nor a file capability, so it has no privileges of its own",
			"reinstall its package, or run as root: chmod u+s " + path
	}
	var fs unix.Statfs_t
	if unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_NOSUID != 0 {
		return path + " lies on a file system mounted nosuid, which takes away its privileges", ""
	}
	if nnp, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err == nil && nnp == 1 {
		return "bailey runs with no_new_privs, which takes away the helper's privileges", ""
	}
	return "", ""
}

// userName returns the name of a user by ID from /etc/passwd, or "".
func userName(uid string) string {
	text, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(line, ":"); len(f) > 2 && f[2] == uid {
			return f[0]
		}
	}
	return ""
}
