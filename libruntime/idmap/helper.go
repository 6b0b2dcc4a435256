package idmap

import (
	"bytes"
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
		f.Cause = fmt.Sprintf("an ordinary user may only map its own ID (%d) by itself; everything else needs %s, which is in no directory of PATH (%s)",
			k.own(), k.helper, os.Getenv("PATH"))
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
	f.Cause, f.Remedy = k.explainHelper(lookAt(k, path), maps)
	return f
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
