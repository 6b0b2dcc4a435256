package seccomp

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func smallProfile() *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: []specs.Arch{native()},
		Syscalls: []specs.LinuxSyscall{rule(specs.ActAllow, "read", "no_such_call"), rule(specs.ActNotify, "mkdirat")}, ListenerPath: "/x"}
}

// loaded returns the cache, the file of the small profile in it, and the program.
func loaded(t *testing.T) (c *Cache, file string, p *Program) {
	t.Helper()
	c = NewCache(filepath.Join(t.TempDir(), "cache"))
	p, err := c.Load(smallProfile())
	if err != nil {
		t.Fatal(err)
	}
	k := key(smallProfile())
	file = filepath.Join(c.dir, hex.EncodeToString(k[:]))
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	return c, file, p
}

func same(a, b *Program) bool {
	return bytes.Equal(a.Filter, b.Filter) && a.Flags == b.Flags && a.Notify == b.Notify && len(a.Warnings) == len(b.Warnings) &&
		(len(a.Warnings) == 0 || a.Warnings[0] == b.Warnings[0])
}

// stored reads the program from the cache as Load does, without compiling.
func stored(t *testing.T, c *Cache) *Program {
	t.Helper()
	dir, err := c.open()
	if err != nil {
		return nil
	}
	defer unix.Close(dir)
	return read(dir, key(smallProfile()))
}

func TestCacheHit(t *testing.T) {
	c, file, p := loaded(t)
	if hit := stored(t, c); hit == nil || !same(hit, p) {
		t.Errorf("stored %+v, read %+v", p, hit)
	}
	for name, want := range map[string]os.FileMode{c.dir: os.ModeDir | 0o700, file: 0o600} {
		if st, err := os.Stat(name); err != nil || st.Mode() != want {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	if entries, _ := os.ReadDir(c.dir); len(entries) != 1 {
		t.Errorf("in the cache: %v", entries)
	}
}

// Whatever is wrong with the cache, the program is the right one, and is stored again where possible.
func TestTamperedCache(t *testing.T) {
	write := func(t *testing.T, file string, b []byte) {
		if err := os.WriteFile(file, b, fileMode); err != nil {
			t.Fatal(err)
		}
	}
	must := func(t *testing.T, err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	// allowAll is a well-formed file, with a right checksum, that would let everything through.
	allowAll := func() []byte {
		return encodeFile(&Program{Filter: encode([]insn{{code: ret, k: allow}})}, key(smallProfile()))
	}
	for _, c := range []struct {
		name   string
		tamper func(t *testing.T, dir, file string)
		healed bool // a later Load finds a good file again
	}{
		{"empty", func(t *testing.T, dir, file string) { write(t, file, nil) }, true},
		{"truncated", func(t *testing.T, dir, file string) {
			b, _ := os.ReadFile(file)
			write(t, file, b[:len(b)-8])
		}, true},
		{"bit flipped", func(t *testing.T, dir, file string) {
			b, _ := os.ReadFile(file)
			b[len(b)-1] ^= 1
			write(t, file, b)
		}, true},
		{"flags changed", func(t *testing.T, dir, file string) {
			b, _ := os.ReadFile(file)
			b[headSize+sha256.Size] ^= 1
			write(t, file, b)
		}, true},
		{"of another profile", func(t *testing.T, dir, file string) {
			b := encodeFile(&Program{Filter: encode([]insn{{code: ret, k: allow}})}, sha256.Sum256(nil))
			write(t, file, b)
		}, true},
		{"no valid program", func(t *testing.T, dir, file string) {
			write(t, file, encodeFile(&Program{Filter: encode([]insn{{code: ja, k: 7}, {code: ret}})}, key(smallProfile())))
		}, true},
		{"huge", func(t *testing.T, dir, file string) { must(t, os.Truncate(file, 1<<40)) }, true},
		{"warnings past the end", func(t *testing.T, dir, file string) {
			b := allowAll()
			b[headSize+sha256.Size+8] = 0xff
			sum := sha256.Sum256(b[headSize:])
			copy(b[len(magic):], sum[:])
			write(t, file, b)
		}, true},
		{"group writable file", func(t *testing.T, dir, file string) {
			write(t, file, allowAll())
			must(t, os.Chmod(file, 0o660))
		}, true},
		{"another's file", func(t *testing.T, dir, file string) {
			write(t, file, allowAll())
			if err := os.Chown(file, 12345, -1); err != nil {
				t.Skipf("chown: %v", err)
			}
		}, true},
		{"hard link", func(t *testing.T, dir, file string) {
			write(t, file, allowAll())
			must(t, os.Link(file, filepath.Join(filepath.Dir(dir), "link")))
		}, true},
		{"symbolic link", func(t *testing.T, dir, file string) {
			other := filepath.Join(filepath.Dir(dir), "other")
			write(t, other, allowAll())
			must(t, os.Remove(file))
			must(t, os.Symlink(other, file))
		}, true},
		{"FIFO", func(t *testing.T, dir, file string) {
			must(t, os.Remove(file))
			must(t, unix.Mkfifo(file, fileMode))
		}, true},
		{"directory in its place", func(t *testing.T, dir, file string) {
			must(t, os.Remove(file))
			must(t, os.Mkdir(file, 0o700))
		}, false},
		{"open directory", func(t *testing.T, dir, file string) {
			write(t, file, allowAll())
			must(t, os.Chmod(dir, 0o770))
		}, false},
		{"another's directory", func(t *testing.T, dir, file string) {
			write(t, file, allowAll())
			if err := os.Chown(dir, 12345, -1); err != nil {
				t.Skipf("chown: %v", err)
			}
		}, false},
		{"symbolic link to a directory", func(t *testing.T, dir, file string) {
			write(t, file, allowAll())
			must(t, os.Rename(dir, dir+".real"))
			must(t, os.Symlink(dir+".real", dir))
		}, false},
		{"a file as directory", func(t *testing.T, dir, file string) {
			must(t, os.RemoveAll(dir))
			write(t, dir, nil)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cache, file, want := loaded(t)
			c.tamper(t, cache.dir, file)
			if p := stored(t, cache); p != nil {
				t.Errorf("the file is used: %+v", p)
			}
			got, err := cache.Load(smallProfile())
			if err != nil || !same(got, want) {
				t.Errorf("Load = %+v, %v", got, err)
			}
			if p := stored(t, cache); (p != nil) != c.healed {
				t.Errorf("after Load the file is good: %v, want %v", p != nil, c.healed)
			}
		})
	}
}

func TestCacheIsNoObstacle(t *testing.T) {
	for _, dir := range []string{"/proc/self/cache", "/nonexistent/cache", ""} {
		if _, err := NewCache(dir).Load(smallProfile()); err != nil {
			t.Errorf("%q: %v", dir, err)
		}
	}
	if _, err := NewCache(t.TempDir()).Load(nil); err == nil {
		t.Error("no profile is accepted")
	}
	bad := smallProfile()
	bad.DefaultAction = ""
	if _, err := NewCache(filepath.Join(t.TempDir(), "c")).Load(bad); err == nil {
		t.Error("a wrong profile is accepted")
	}
}

// A full cache is emptied, not grown.
func TestCacheIsBounded(t *testing.T) {
	c, file, _ := loaded(t)
	for i := range maxEntries {
		if err := os.WriteFile(filepath.Join(c.dir, hex.EncodeToString([]byte{byte(i)})), nil, fileMode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Load(smallProfile()); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(c.dir); len(entries) != 1 {
		t.Errorf("%d entries are left", len(entries))
	}
}

// Everything that Compile looks at is in the key.
func TestKey(t *testing.T) {
	base := func() *specs.LinuxSeccomp {
		r := rule(specs.ActErrno, "read", "write")
		r.Args = []specs.LinuxSeccompArg{{Index: 1, Value: 2, ValueTwo: 3, Op: specs.OpEqualTo}}
		return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86}, Syscalls: []specs.LinuxSyscall{r}}
	}
	seen := map[[sha256.Size]byte]int{key(base()): -1}
	for i, change := range []func(*specs.LinuxSeccomp){
		func(c *specs.LinuxSeccomp) { c.DefaultAction = specs.ActLog },
		func(c *specs.LinuxSeccomp) { c.DefaultErrnoRet = ptr(uint(0)) },
		func(c *specs.LinuxSeccomp) { c.DefaultErrnoRet = ptr(uint(1)) },
		func(c *specs.LinuxSeccomp) { c.Architectures = nil },
		func(c *specs.LinuxSeccomp) { c.Architectures[0] = specs.ArchX32 },
		func(c *specs.LinuxSeccomp) { c.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog} },
		func(c *specs.LinuxSeccomp) { c.ListenerPath = "/x" },
		func(c *specs.LinuxSeccomp) { c.ListenerMetadata = "x" },
		func(c *specs.LinuxSeccomp) { c.Syscalls = nil },
		func(c *specs.LinuxSeccomp) { c.Syscalls[0].Action = specs.ActKill },
		func(c *specs.LinuxSeccomp) { c.Syscalls[0].ErrnoRet = ptr(uint(1)) },
		func(c *specs.LinuxSeccomp) { c.Syscalls[0].Names = []string{"rea", "dwrite"} },
		func(c *specs.LinuxSeccomp) { c.Syscalls[0].Names = []string{"write", "read"} },
		func(c *specs.LinuxSeccomp) { c.Syscalls[0].Args = nil },
		func(c *specs.LinuxSeccomp) { c.Syscalls[0].Args[0].Index = 2 },
		func(c *specs.LinuxSeccomp) { c.Syscalls[0].Args[0].Value = 3 },
		func(c *specs.LinuxSeccomp) { c.Syscalls[0].Args[0].ValueTwo = 2 },
		func(c *specs.LinuxSeccomp) { c.Syscalls[0].Args[0].Op = specs.OpNotEqual },
	} {
		cfg := base()
		change(cfg)
		k := key(cfg)
		if j, dup := seen[k]; dup {
			t.Errorf("change %d gives the key of %d", i, j)
		}
		seen[k] = i
	}
	cfg := base()
	cfg.ListenerPath = "/x"
	k := key(cfg)
	if cfg.ListenerPath = "/y"; key(cfg) != k {
		t.Error("the listener's path is in the key: the program does not depend on it")
	}
}

func FuzzDecode(f *testing.F) {
	k := key(smallProfile())
	f.Add(encodeFile(&Program{Filter: encode([]insn{{code: ret}}), Warnings: []string{"w"}, Notify: true}, k)[headSize:])
	f.Fuzz(func(t *testing.T, body []byte) {
		// With a right checksum, so that the rest is reached.
		sum := sha256.Sum256(body)
		if p := decode(append(append(bytes.Clone(magic), sum[:]...), body...), k); p != nil {
			if err := Check(p.Filter); err != nil {
				t.Error(err)
			}
		}
	})
}
