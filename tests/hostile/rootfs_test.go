package hostile

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// hostileRootfs adds things to a root filesystem that a hostile image may have.
func (p *place) hostileRootfs(root string) {
	p.T.Helper()
	in := func(name string) string { return filepath.Join(root, name) }
	p.Must(os.Symlink("loop", in("loop")))
	p.Must(os.Symlink(p.outside, in("absolute")))
	p.Must(os.Symlink("../../../../../../../../../.."+p.outside, in("relative")))
	p.Must(os.Symlink("absolute/keep", in("chained")))
	p.Must(os.WriteFile(in("bin/garbage"), []byte("\x00\x01\x02garbage"), 0o755))
	p.Must(os.WriteFile(in("bin/script"), []byte("#!/bin/none\n"), 0o755))
	p.Must(unix.Mkfifo(in("bin/fifo"), 0o755))
}
