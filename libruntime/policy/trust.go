package policy

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/userns"
)

// owners are the users who may be able to change a policy file.
type owners []uint32

// trusted returns the owners that are accepted: root, and more.
//
// In another user namespace, such as the one in which Podman calls for an ordinary user, the machine's root has no
// number, and its files show the one of nobody. The root directory's owner is root there, or could replace all that
// is below it anyway.
func trusted(more ...uint32) owners {
	o := append(owners{0}, more...)
	if userns.Other() {
		var st unix.Stat_t
		if unix.Lstat("/", &st) == nil {
			o = append(o, st.Uid)
		}
	}
	return o
}

// check returns why somebody else could change the file or directory, or nil.
func (o owners) check(path string, st *unix.Stat_t) error {
	found := false
	for _, uid := range o {
		found = found || uid == st.Uid
	}
	if !found {
		return &fault.Error{Step: path + " is user " + fmt.Sprint(st.Uid) + "'s, who could change the policy",
			Remedy: "chown it to root, or, if the policy is a user's own, to the user"}
	}
	// In a directory with the sticky bit nobody can touch what is another's.
	sticky := st.Mode&unix.S_IFMT == unix.S_IFDIR && st.Mode&unix.S_ISVTX != 0
	if st.Mode&unix.S_IFMT != unix.S_IFLNK && st.Mode&0o022 != 0 && !sticky {
		return &fault.Error{Step: fmt.Sprintf("%s has the mode %04o: others than its owner could change the policy", path, st.Mode&0o7777),
			Remedy: "chmod go-w " + path}
	}
	return nil
}

// maxLinks is how many symbolic links a path may have, as for the kernel (MAXSYMLINKS).
const maxLinks = 40

// resolve follows a path, checks every directory and link on the way, and returns the path of what it leads to, without
// links. Each step was checked before the next one is looked up, and nobody else can change what was checked, so it
// does not matter that these are paths and not descriptors.
func (o owners) resolve(path string) (string, error) {
	at, rest, links := "", path, 0
	for {
		var st unix.Stat_t
		name := at
		if name == "" {
			name = "/"
		}
		if err := unix.Lstat(name, &st); err != nil {
			return "", &fault.Error{Step: "look at " + name, Syscall: "lstat", Err: err}
		}
		if err := o.check(name, &st); err != nil {
			return "", err
		}
		rest = strings.TrimLeft(rest, "/")
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFLNK:
			if links++; links > maxLinks {
				return "", &fault.Error{Step: "follow the links of " + path, Err: unix.ELOOP}
			}
			target, err := readlink(at)
			if err != nil {
				return "", &fault.Error{Step: "follow " + at, Syscall: "readlink", Err: err}
			}
			at = parent(at)
			if strings.HasPrefix(target, "/") {
				at = ""
			}
			rest = target + "/" + rest
			// The directory is looked at once more, and the link's target after it.
			continue
		case unix.S_IFDIR:
		default:
			if rest != "" {
				return "", &fault.Error{Step: "look at " + at, Err: unix.ENOTDIR}
			}
		}
		if rest == "" {
			return name, nil
		}
		next, more, _ := strings.Cut(rest, "/")
		rest = more
		switch next {
		case ".":
		case "..":
			at = parent(at)
		default:
			at += "/" + next
		}
	}
}

// parent returns the directory that a path without links is in; "" is the root directory.
func parent(path string) string { return path[:max(0, strings.LastIndexByte(path, '/'))] }

func readlink(path string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlink(path, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// exists reports whether there is a file at path. This is all that a machine without a policy pays.
func exists(path string) (bool, error) {
	if path == "" {
		return false, nil
	}
	var st unix.Stat_t
	switch err := unix.Lstat(path, &st); err {
	case nil:
		return true, nil
	case unix.ENOENT:
		return false, nil
	default:
		return false, unreadable(path, err)
	}
}

// read returns the content of the policy file at path.
func (o owners) read(path string) ([]byte, error) {
	real, err := o.resolve(path)
	if err == nil {
		var data []byte
		if data, err = o.readFile(real); err == nil {
			return data, nil
		}
	}
	return nil, unreadable(path, err)
}

func unreadable(path string, err error) error {
	e := &fault.Error{Step: "read the policy " + printable(path), Err: err}
	if errors.Is(err, unix.EACCES) {
		e.Cause = "a policy holds for every user of the machine, so all of them have to be able to read it"
		e.Remedy = "chmod 755 its directory, and 644 the file"
	}
	return e
}

// readFile reads the regular file at a path that was resolved.
func (o owners) readFile(path string) ([]byte, error) {
	//nolint:forbidigo // every directory of the path was found to be a trusted user's alone
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.New("it is not a regular file")
	}
	if err := o.check(path, &st); err != nil {
		return nil, err
	}
	// One byte more than is allowed shows a file that has more, whatever its size says.
	data := make([]byte, 0, min(max(st.Size, 0), MaxSize)+1)
	for {
		n, err := unix.Read(fd, data[len(data):cap(data)])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, err
		case n == 0:
			return data, nil
		}
		data = data[:len(data)+n]
		if len(data) > MaxSize {
			return nil, fmt.Errorf("it has more than %d bytes", MaxSize)
		}
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
	}
}
