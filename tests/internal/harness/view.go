package harness

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// View is how the cgroup hierarchies look to a container's maker.
type View string

// The views; see Views for those that the machine has.
const (
	V1     View = "v1"
	V2     View = "v2"
	Hybrid View = "hybrid"
	// Systemd is v2 with the systemd driver.
	Systemd View = "systemd"
)

// cgroupRoot is where the machine has its hierarchies.
const cgroupRoot = "/sys/fs/cgroup"

func isCgroup2(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}

// Views returns the views that can be shown on this machine. A hybrid one can show all.
func Views() []View {
	switch {
	case isCgroup2(cgroupRoot) && HasSystemd():
		return []View{V2, Systemd}
	case isCgroup2(cgroupRoot):
		return []View{V2}
	case isCgroup2(cgroupRoot + "/unified"):
		return []View{Hybrid, V1, V2}
	default:
		return []View{V1}
	}
}

// HasSystemd reports whether systemd runs the machine.
func HasSystemd() bool {
	_, err := os.Stat("/run/systemd/system") // sd_booted(3)
	return err == nil
}

// ShortViews returns one view, for tests in which the cgroups do not matter.
func ShortViews() []View { return Views()[:1] }

// unifiedRoot is where the machine has the unified hierarchy, "" where it has none.
func unifiedRoot() string {
	for _, path := range []string{cgroupRoot, cgroupRoot + "/unified"} {
		if isCgroup2(path) {
			return path
		}
	}
	return ""
}

// namespace is a mount namespace, kept by a thread that is never given back to Go. Processes started by the
// thread are in it.
type namespace struct {
	jobs chan func()
	tid  int
}

// newNamespace makes a mount namespace with a view. Its mounts are shared among each other, as on an ordinary
// machine, so that what leaks out of a container shows here; but not with those of the machine.
func newNamespace(v View) (*namespace, error) {
	n := &namespace{jobs: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread()
		n.tid = unix.Gettid()
		err := n.make(v)
		ready <- err
		if err != nil {
			return
		}
		for job := range n.jobs {
			job()
		}
	}()
	return n, <-ready
}

func (n *namespace) make(v View) error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return fmt.Errorf("make a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := show(v); err != nil {
		return fmt.Errorf("show the cgroup view %s: %w", v, err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make mounts shared: %w", err)
	}
	return nil
}

// show changes the mounts of the calling thread's namespace, as scripts/cgroup-view does.
func show(v View) error {
	views := Views()
	if views[0] == v {
		return nil
	}
	switch v {
	case V1:
		return unix.Unmount(cgroupRoot+"/unified", 0)
	case V2:
		if err := unix.Unmount(cgroupRoot, unix.MNT_DETACH); err != nil {
			return err
		}
		return unix.Mount("none", cgroupRoot, "cgroup2", 0, "")
	}
	return fmt.Errorf("the machine has %v", views)
}

// do runs f on the namespace's thread.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.jobs <- func() {
		defer close(done)
		f()
	}
	<-done
}

func (n *namespace) close() { close(n.jobs) }

// mounts returns the mounts of the namespace without what changes by itself: the numbers of mounts and peer
// groups.
func (n *namespace) mounts() (map[string]int, error) {
	lines, err := readLines(fmt.Sprintf("/proc/self/task/%d/mountinfo", n.tid))
	if err != nil {
		return nil, err
	}
	mounts := make(map[string]int)
	for _, line := range lines {
		f := strings.Fields(line)
		if len(f) > 5 {
			mounts[strings.Join(f[2:6], " ")+" "+line[strings.Index(line, " - ")+3:]]++
		}
	}
	return mounts, nil
}
