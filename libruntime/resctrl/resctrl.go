// Package resctrl puts containers into the kernel's groups for the allocation and monitoring of caches and memory
// bandwidth (linux.intelRdt; Documentation/filesystems/resctrl.rst).
package resctrl

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/faultpoint"
	"github.com/bailey-oci/bailey/libruntime/plan"
)

const origin = "/linux/intelRdt"

// Group is a container's group. Its fields are absolute paths.
type Group struct {
	// Control is the directory of the class of service, Monitor that of the monitoring group, "" without one.
	Control, Monitor string
	// root is where the filesystem is mounted.
	root string
	// own: the class is the container's own, to be removed with it; no closID names it.
	own   bool
	lines []string
}

// filesystem returns the mount point of the resctrl filesystem; tests put another in its place.
var filesystem = func() (string, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("resctrl"))
	if err != nil {
		return "", fault.Wrap(err, "find the resctrl filesystem", origin)
	}
	if len(mounts) > 0 {
		return mounts[0].Mountpoint, nil
	}
	return "", &fault.Error{Step: "find the resctrl filesystem", Origin: origin, Err: unix.ENOENT,
		Cause:  "it is not mounted; CPUs without resource control, and kernels without CONFIG_X86_CPU_RESCTRL, have none",
		Remedy: "mount -t resctrl resctrl /sys/fs/resctrl, or leave intelRdt out"}
}

// New returns the group that a configuration asks for; it makes nothing.
func New(id string, r *specs.LinuxIntelRdt) (*Group, error) {
	root, err := filesystem()
	if err != nil {
		return nil, err
	}
	g := &Group{root: root, own: r.ClosID == "", lines: plan.Schemata(r)}
	switch r.ClosID {
	case "":
		g.Control = root + "/" + id
	case "/":
		g.Control = root
	default:
		g.Control = root + "/" + r.ClosID
	}
	if r.EnableMonitoring {
		g.Monitor = g.Control + "/mon_groups/" + id
	}
	return g, nil
}

// Removable returns the directories that end with the container, in the order in which they can be removed. They are to
// be on record before Create.
func (g *Group) Removable() []string {
	var dirs []string
	if g.Monitor != "" {
		dirs = append(dirs, g.Monitor)
	}
	if g.own {
		dirs = append(dirs, g.Control)
	}
	return dirs
}

// Create makes what is missing of the group. A class that exists and is named by the configuration must have the
// schemata that the configuration has; one that has none must exist.
func (g *Group) Create() error {
	if err := g.createClass(); err != nil || g.Monitor == "" {
		return err
	}
	faultpoint.Here()
	if err := unix.Mkdir(g.Monitor, 0o755); err != nil {
		if g.own {
			_ = unix.Rmdir(g.Control)
		}
		return failed("make the monitoring group", g.Monitor, "mkdir", err, explain(err))
	}
	return nil
}

func (g *Group) createClass() error {
	if !g.own && len(g.lines) == 0 {
		if err := unix.Access(g.Control, unix.F_OK); err != nil {
			return failed("use the class", g.Control, "access", err, "a closID without schemata names a class that must exist")
		}
		return nil
	}
	faultpoint.Here()
	err := unix.Mkdir(g.Control, 0o755)
	if err == unix.EEXIST && !g.own {
		return g.compare()
	}
	if err != nil {
		return failed("make the class", g.Control, "mkdir", err, explain(err))
	}
	if err := g.Write(g.lines); err != nil {
		_ = unix.Rmdir(g.Control)
		return err
	}
	return nil
}

func explain(err error) string {
	if err == unix.ENOSPC {
		return "the CPU has no more classes or monitoring IDs"
	}
	return ""
}

// Write sets schemata: "L3:0=ff;1=ff", in this order.
func (g *Group) Write(lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	file := g.Control + "/schemata"
	faultpoint.Here()
	if err := write(file, strings.Join(lines, "\n")+"\n"); err != nil {
		cause := ""
		if why, readErr := os.ReadFile(g.root + "/info/last_cmd_status"); readErr == nil {
			cause = strings.TrimSpace(string(why))
		}
		return failed("set the schemata "+strings.Join(lines, ", "), file, "write", err, cause)
	}
	return nil
}

// compare fails unless the class has the schemata that are asked for.
func (g *Group) compare() error {
	file := g.Control + "/schemata"
	b, err := os.ReadFile(file)
	if err != nil {
		return failed("read the schemata", file, "read", err, "")
	}
	have := make(map[string]map[string]string)
	for line := range strings.Lines(string(b)) {
		name, domains := parse(line)
		have[name] = domains
	}
	for _, line := range g.lines {
		name, domains := parse(line)
		for domain, value := range domains {
			if is := have[name][domain]; is != value {
				return failed("use the class", g.Control, "", unix.EEXIST,
					"it exists with "+name+":"+domain+"="+is+", and "+line+" is asked for")
			}
		}
	}
	return nil
}

// parse takes a line such as "  L3:0=0ff;1=ff" apart.
func parse(line string) (name string, domains map[string]string) {
	name, list, _ := strings.Cut(strings.TrimSpace(line), ":")
	domains = make(map[string]string)
	for d := range strings.SplitSeq(list, ";") {
		domain, value, _ := strings.Cut(strings.TrimSpace(d), "=")
		value = strings.TrimLeft(strings.ToLower(strings.TrimSpace(value)), "0")
		domains[domain] = value
	}
	return name, domains
}

// Join puts a process into the group.
func (g *Group) Join(pid int) error {
	for _, dir := range []string{g.Control, g.Monitor} {
		if dir == "" {
			continue
		}
		if err := write(dir+"/tasks", strconv.Itoa(pid)); err != nil {
			return failed("put process "+strconv.Itoa(pid)+" into its group", dir+"/tasks", "write", err, "")
		}
	}
	return nil
}

// Remove removes directories that Removable has returned. What is gone is no error.
func Remove(dirs []string) error {
	if len(dirs) == 0 {
		return nil
	}
	root, err := filesystem()
	if err != nil {
		return nil //nolint:nilerr // unmounted, and its groups with it
	}
	for _, dir := range dirs {
		if !strings.HasPrefix(dir, root+"/") || slices.Contains(strings.Split(dir, "/"), "..") {
			return failed("remove the container's group", dir, "", unix.EXDEV, "it is not below "+root)
		}
		faultpoint.Here()
		if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
			return failed("remove the container's group", dir, "rmdir", err, "")
		}
	}
	return nil
}

func write(file, text string) error {
	fd, err := unix.Open(file, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(text))
	return err
}

func failed(step, object, call string, err error, cause string) error {
	return &fault.Error{Step: step, Origin: origin, Object: object, Syscall: call, Err: err, Cause: cause}
}
