package seccomp

import (
	"crypto/sha256"
	"encoding/binary"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// formatVersion changes whenever the same profile can compile to another program with this package,
// or the cache's file format changes.
const formatVersion = 2

// canon collects the canonical bytes of a profile. Every string and list has its length in front, so
// that no two different profiles have the same bytes. It is written by hand because encoding/json
// takes longer for a usual profile than everything else on the path of a cache hit together.
type canon []byte

func (c *canon) num(n uint64) { *c = binary.AppendUvarint(*c, n) }

func (c *canon) str(s string) {
	c.num(uint64(len(s)))
	*c = append(*c, s...)
}

// opt distinguishes a missing number from zero.
func (c *canon) opt(n *uint) {
	if n == nil {
		c.num(0)
		return
	}
	c.num(1)
	c.num(uint64(*n))
}

// profile appends everything of a profile that Compile looks at.
func (c *canon) profile(cfg *specs.LinuxSeccomp) {
	c.str(string(cfg.DefaultAction))
	c.opt(cfg.DefaultErrnoRet)
	c.num(uint64(len(cfg.Architectures)))
	for _, a := range cfg.Architectures {
		c.str(string(a))
	}
	c.num(uint64(len(cfg.Flags)))
	for _, f := range cfg.Flags {
		c.str(string(f))
	}
	// The listener's path is no part of the program, but whether there is one decides what is valid.
	c.num(uint64(min(len(cfg.ListenerPath), 1)))
	c.num(uint64(min(len(cfg.ListenerMetadata), 1)))
	c.num(uint64(len(cfg.Syscalls)))
	for i := range cfg.Syscalls {
		s := &cfg.Syscalls[i]
		c.str(string(s.Action))
		c.opt(s.ErrnoRet)
		c.num(uint64(len(s.Names)))
		for _, n := range s.Names {
			c.str(n)
		}
		c.num(uint64(len(s.Args)))
		for _, a := range s.Args {
			c.num(uint64(a.Index))
			c.num(a.Value)
			c.num(a.ValueTwo)
			c.str(string(a.Op))
		}
	}
}

// environment appends what the program depends on besides the profile: this package, libseccomp's
// tables, the architecture, and the kernel, whose abilities libseccomp probes.
func (c *canon) environment() {
	c.num(formatVersion)
	c.str(compilerVersion())
	c.str(runtime.GOARCH)
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		c.str(unix.ByteSliceToString(u.Release[:]))
	}
}

// key returns the name of a profile's program in a cache.
func key(cfg *specs.LinuxSeccomp) [sha256.Size]byte {
	c := make(canon, 0, 16<<10)
	c.environment()
	c.profile(cfg)
	return sha256.Sum256(c)
}
