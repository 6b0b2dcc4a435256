package harness

import (
	"os"
	"path/filepath"
	"strings"
)

// applets are the commands that containers find in /bin, besides probe.
var applets = strings.Fields("sh cat echo ls sleep mount umount mkdir rmdir rm ln cp mv touch chmod chown id env printf " +
	"test true false kill ps head tail grep sed tr wc stat readlink hostname dd mknod mkfifo date tty stty nc head sort " +
	"seq dirname basename find awk cut setsid timeout unshare nsenter df pwd expr od which chroot pivot_root sync")

var rootfsDirs = strings.Fields("bin dev etc home proc root run sys tmp var work")

// makeRootfs makes a root filesystem in dir, which belongs to the user and group given.
func (e *Env) makeRootfs(dir string, owner int) {
	e.T.Helper()
	e.Must(os.Mkdir(dir, 0o755))
	var made []string
	for _, name := range rootfsDirs {
		made = append(made, filepath.Join(dir, name))
		e.Must(os.Mkdir(made[len(made)-1], 0o755))
	}
	e.Must(os.Chmod(filepath.Join(dir, "tmp"), 0o1777))
	e.Must(os.Link(sharedBusybox(e), filepath.Join(dir, "bin/busybox")))
	e.Must(os.Link(Probe(e.T), filepath.Join(dir, "bin/probe")))
	for _, name := range applets {
		link := filepath.Join(dir, "bin", name)
		if err := os.Symlink("busybox", link); err != nil && !os.IsExist(err) {
			e.T.Fatal(err)
		}
	}
	files := map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n",
		"etc/group":  "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n",
	}
	for name, content := range files {
		made = append(made, filepath.Join(dir, name))
		e.Must(os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	if owner != 0 {
		e.Must(os.Chown(dir, owner, owner))
		for _, path := range made {
			e.Must(os.Chown(path, owner, owner))
		}
	}
}

// sharedBusybox returns a copy of the machine's static busybox that root filesystems can link to.
func sharedBusybox(e *Env) string {
	e.T.Helper()
	busybox.once.Do(func() {
		busybox.path = filepath.Join(base, "busybox")
		busybox.err = copyFile("/bin/busybox", busybox.path)
	})
	if busybox.err != nil {
		e.T.Fatalf("needs busybox-static: %v", busybox.err)
	}
	return busybox.path
}

var busybox program
