package seccomp

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strconv"
	"sync/atomic"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Cache keeps compiled programs in a directory, one file for each profile, named after its contents.
// It trusts the directory that contains its own (the state root, which the caller has checked), and
// nothing below: its own directory and every file in it must belong to the caller and be closed to
// everyone else, or they are not used.
type Cache struct{ dir string }

// NewCache returns the cache in dir, which is made when it is first written to.
func NewCache(dir string) *Cache { return &Cache{dir} }

const (
	dirMode  = 0o700
	fileMode = 0o600
	// maxFile bounds what is read of a file: the largest program and room for its warnings.
	maxFile = maxInsns*insnSize + 256<<10
)

// Load returns the program of a profile, from the cache if it is there and beyond doubt, compiled and
// stored otherwise. A cache that cannot be used or written to is no error, only slow; a profile that
// cannot be compiled is.
func (c *Cache) Load(cfg *specs.LinuxSeccomp) (*Program, error) {
	if cfg == nil {
		return nil, fault.New("compile the seccomp profile: there is none", origin)
	}
	k := key(cfg)
	dir, err := c.open()
	if err == nil {
		defer unix.Close(dir)
		if p := read(dir, k); p != nil {
			return p, nil
		}
	}
	p, err := Compile(cfg)
	if err == nil && dir >= 0 {
		store(dir, k, p)
	}
	return p, err
}

// open opens the cache's directory, making it if need be, and checks it. The descriptor is -1 in case
// of an error.
func (c *Cache) open() (int, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
	parent, err := openRetry(unix.AT_FDCWD, path.Dir(c.dir), &unix.OpenHow{Flags: flags | unix.O_PATH})
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	name := path.Base(c.dir)
	how := unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV}
	dir, err := openRetry(parent, name, &how)
	if err == unix.ENOENT {
		if err = unix.Mkdirat(parent, name, dirMode); err != nil && err != unix.EEXIST {
			return -1, err
		}
		dir, err = openRetry(parent, name, &how)
	}
	if err != nil {
		return -1, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(dir, &st); err == nil && !ours(&st, unix.S_IFDIR|dirMode) {
		err = unix.EPERM
	}
	if err != nil {
		unix.Close(dir)
		return -1, err
	}
	return dir, nil
}

// ours reports whether a file is the caller's and has exactly the type and permissions of mode. A
// set-group-ID bit, which directories inherit, gives nobody anything.
func ours(st *unix.Stat_t, mode uint32) bool {
	return int(st.Uid) == unix.Geteuid() && st.Mode&^unix.S_ISGID == mode
}

func openRetry(dir int, name string, how *unix.OpenHow) (int, error) {
	for {
		// EAGAIN: a rename elsewhere got between the kernel's checks.
		fd, err := unix.Openat2(dir, name, how)
		if err != unix.EINTR && err != unix.EAGAIN {
			return fd, err
		}
	}
}

// read returns the program stored under k, or nil where there is none that can be trusted.
func read(dir int, k [sha256.Size]byte) *Program {
	fd, err := openRetry(dir, hex.EncodeToString(k[:]), &unix.OpenHow{
		// O_NONBLOCK: someone could have put a FIFO there.
		Flags:   unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || !ours(&st, unix.S_IFREG|fileMode) || st.Nlink != 1 || st.Size > maxFile {
		return nil
	}
	buf := make([]byte, st.Size)
	for n := 0; n < len(buf); {
		m, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || m == 0 {
			return nil
		}
		n += m
	}
	return decode(buf, k)
}

// serial tells apart the temporary files of one process.
var serial atomic.Uint32

// store writes a program, atomically: others see the old file, no file, or the whole new one. It
// need not succeed.
func store(dir int, k [sha256.Size]byte, p *Program) {
	data := encodeFile(p, k)
	if len(data) > maxFile {
		return
	}
	prune(dir)
	tmp := ".tmp-" + strconv.Itoa(unix.Getpid()) + "-" + strconv.FormatUint(uint64(serial.Add(1)), 10)
	_ = unix.Unlinkat(dir, tmp, 0) // of an earlier process with the same ID that was killed
	fd, err := unix.Openat(dir, tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, fileMode)
	if err != nil {
		return
	}
	n, err := unix.Write(fd, data)
	if err == nil {
		err = unix.Fchmod(fd, fileMode) // whatever the umask
	}
	unix.Close(fd)
	if err == nil && n == len(data) {
		err = unix.Renameat(dir, tmp, dir, hex.EncodeToString(k[:]))
	}
	if err != nil || n != len(data) {
		_ = unix.Unlinkat(dir, tmp, 0)
	}
}

// maxEntries bounds the cache: the state root is on a tmpfs, and profiles can be generated.
const maxEntries = 128

// prune empties a cache that is full. A usual machine has a handful of profiles, so it is not worth
// remembering which of them are in use.
func prune(dir int) {
	fd, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var names []string
	buf := make([]byte, 16<<10)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil || n <= 0 {
			break
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
	if len(names) < maxEntries {
		return
	}
	for _, name := range names {
		_ = unix.Unlinkat(dir, name, 0)
	}
}
