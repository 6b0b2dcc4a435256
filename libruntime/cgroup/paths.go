package cgroup

import (
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/octal"
)

const pathOrigin = "/linux/cgroupsPath"

// hierarchy is the container's place in one mounted cgroup hierarchy.
type hierarchy struct {
	// controllers are those of a v1 hierarchy ("cpu", "cpuacct", "name=systemd"); empty for v2.
	controllers []string
	// mount is the hierarchy's mount point; empty in a manager that came from Load.
	mount string
	// path is the absolute path of the container's cgroup.
	path string
}

func (h *hierarchy) v2() bool { return len(h.controllers) == 0 }

func (h *hierarchy) has(controller string) bool { return slices.Contains(h.controllers, controller) }

// membership is one line of /proc/self/cgroup: the controllers of a hierarchy (none for v2) and the
// cgroup of the calling process in it.
type membership struct {
	controllers []string
	path        string
}

// ownCgroups reads /proc/self/cgroup. All threads of this program stay in one cgroup, so the thread
// does not matter.
func ownCgroups() ([]membership, error) {
	const name = "/proc/self/cgroup"
	text, err := readFile(name)
	if err != nil {
		return nil, &fault.Error{Step: "find the cgroup hierarchies", Object: name, Syscall: "read", Err: err}
	}
	var own []membership
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 || !path.IsAbs(f[2]) {
			return nil, &fault.Error{Step: "find the cgroup hierarchies: unexpected line", Object: name + ": " + line}
		}
		m := membership{path: f[2]}
		if f[1] != "" {
			m.controllers = strings.Split(f[1], ",")
		}
		own = append(own, m)
	}
	return own, nil
}

// innerPath returns the wanted path inside a hierarchy: absolute when it counts from the mount point,
// relative when it counts from the caller's own cgroup. It never leads upwards: ".." is resolved as
// if the starting point were "/", as runc does.
func innerPath(id, cgroupsPath string) (string, error) {
	if id == "" || id == "." || id == ".." || strings.ContainsRune(id, '/') {
		return "", &fault.Error{Step: "choose a cgroup path", Object: id,
			Cause: "the container's ID is not usable as the name of a directory"}
	}
	if cgroupsPath == "" {
		return id, nil
	}
	if strings.ContainsAny(cgroupsPath, "\x00\n") {
		// cgroupfs refuses a newline, and /proc/PID/cgroup could not be parsed with one.
		return "", fault.New("the cgroup path has a character that no cgroup can have in its name", pathOrigin)
	}
	inner := path.Clean("/" + cgroupsPath)
	if inner == "/" {
		return "", &fault.Error{Step: "the cgroup path names no cgroup of the container's own", Origin: pathOrigin,
			Object: cgroupsPath, Remedy: "use a path like /group/name, or leave cgroupsPath out"}
	}
	if !path.IsAbs(cgroupsPath) {
		inner = inner[1:]
	}
	return inner, nil
}

// place computes the container's cgroup in every hierarchy that mode uses.
func place(mode Mode, inner string) ([]hierarchy, error) {
	// An absolute path on v2 depends on nothing but the mount point.
	if mode == V2 && path.IsAbs(inner) {
		return []hierarchy{{mount: mountRoot, path: mountRoot + inner}}, nil
	}
	own, err := ownCgroups()
	if err != nil {
		return nil, err
	}
	var mounts mountTable
	var hs []hierarchy
	for _, m := range own {
		isV2 := len(m.controllers) == 0
		if !isV2 && (mode == V2 || !wanted(m.controllers[0])) {
			continue
		}
		if isV2 && mode == V1 {
			continue
		}
		h := hierarchy{controllers: m.controllers}
		root := "/"
		switch {
		case isV2 && mode == V2:
			h.mount = mountRoot
		case isV2:
			h.mount = hybridUnified
		default:
			if h.mount = defaultMount(m.controllers); h.mount == "" {
				if h.mount, root, err = mounts.find(m.controllers[0]); err != nil {
					return nil, err
				}
			}
			if h.mount == "" {
				continue // not mounted; an error only where a limit needs it
			}
		}
		if path.IsAbs(inner) {
			h.path = h.mount + inner
		} else {
			base := m.path
			if !isV2 && base != "/" {
				if _, root, err = mounts.find(m.controllers[0]); err != nil {
					return nil, err
				}
			}
			if base, err = below(root, base); err != nil {
				return nil, err
			}
			if isV2 && mode == V2 {
				// The caller's own cgroup has processes in it, so no controller can be enabled
				// for its children: on v2 the container becomes a sibling, as with runc.
				base = path.Dir(base)
			}
			h.path = path.Join(h.mount, base, inner)
		}
		hs = append(hs, h)
	}
	if len(hs) == 0 {
		return nil, &fault.Error{Step: "find the cgroup hierarchies", Object: mountRoot,
			Cause: "no cgroup hierarchy is mounted there", Remedy: "mount one, or use --cgroup-manager disabled"}
	}
	return hs, nil
}

// Own returns the caller's own cgroups in the form of [Manager.Paths]; what cannot be found is left out.
func Own() map[string]string {
	mode := Detect()
	hs, err := place(mode, ".")
	if err != nil {
		return nil
	}
	m := Manager{hs: hs}
	paths := m.Paths()
	if mode == V2 {
		delete(paths, "") // place returns what lies beside it
		if own, err := ownCgroups(); err == nil && len(own) > 0 {
			paths[""] = path.Join(mountRoot, own[len(own)-1].path)
		}
	}
	return paths
}

// Limitable reports whether a cgroup that is made where cgroupsPath is silent can have limits of a controller: the caller
// may make cgroups there, and the controller is to be had. It is a guess, of which nothing but defaults may depend.
func Limitable(controller string) bool {
	mode := Detect()
	hs, err := place(mode, ".")
	if err != nil {
		return false
	}
	for _, h := range hs {
		if unix.Access(h.path, unix.W_OK) != nil {
			continue
		}
		if h.has(controller) {
			return true
		}
		if h.v2() {
			list, err := readFile(h.path + "/cgroup.controllers")
			if err == nil && slices.Contains(strings.Fields(list), controller) {
				return true
			}
		}
	}
	return false
}

// Inside returns, for every controller that the machine has and "" for the unified hierarchy, the path inside the hierarchy of the
// container's cgroup, or of the caller's own where the container has none of its own.
func (m *Manager) Inside() (map[string]string, error) {
	own, err := ownCgroups()
	if err != nil {
		return nil, err
	}
	paths := make(map[string]string)
	for _, o := range own {
		if len(o.controllers) == 0 {
			paths[""] = o.path
		}
		for _, c := range o.controllers {
			paths[c] = o.path
		}
	}
	for _, h := range m.hs {
		inside := strings.TrimPrefix(h.path, h.mount)
		if h.v2() {
			paths[""] = inside
		}
		for _, c := range h.controllers {
			paths[c] = inside
		}
	}
	return paths, nil
}

// wanted reports whether a v1 hierarchy is joined: all controllers, and of the named ones only
// systemd's. Others (elogind, openrc) belong to a session manager that containers do not concern.
func wanted(controller string) bool {
	return !strings.HasPrefix(controller, "name=") || controller == "name=systemd"
}

// below returns own as seen from the mount's root: in a container without a cgroup namespace the
// mount shows a subtree, while /proc/self/cgroup counts from the machine's root.
func below(root, own string) (string, error) {
	if root == "/" {
		if strings.HasPrefix(own, "/..") {
			return "", &fault.Error{Step: "place the container below the caller's cgroup", Origin: pathOrigin, Object: own,
				Cause: "the caller's cgroup lies outside its cgroup namespace", Remedy: "use an absolute cgroupsPath"}
		}
		return own, nil
	}
	rest, ok := strings.CutPrefix(own, root)
	if !ok || rest != "" && rest[0] != '/' {
		return "", &fault.Error{Step: "place the container below the caller's cgroup", Origin: pathOrigin, Object: own,
			Cause: "the mounted hierarchy begins at " + root + " and does not show the caller's cgroup", Remedy: "use an absolute cgroupsPath"}
	}
	return "/" + strings.TrimPrefix(rest, "/"), nil
}

// defaultMount returns the mount point of a v1 hierarchy at its usual place, or "".
func defaultMount(controllers []string) string {
	names := []string{strings.Join(controllers, ","), controllers[0]}
	if len(controllers) == 1 {
		names = names[:1]
	}
	for _, n := range names {
		p := mountRoot + "/" + strings.TrimPrefix(n, "name=")
		if d, err := openDir(p); err == nil {
			d.close()
			return p
		}
	}
	return ""
}

// mountTable finds v1 mounts in /proc/self/mountinfo, which is read once and only when needed: it is
// long on busy machines.
type mountTable struct{ text string }

// find returns mount point and root of the first v1 mount with the controller; both empty when there
// is none.
func (t *mountTable) find(controller string) (mount, root string, err error) {
	const name = "/proc/self/mountinfo"
	if t.text == "" {
		if t.text, err = readFile(name); err != nil {
			return "", "", &fault.Error{Step: "find the cgroup hierarchies", Object: name, Syscall: "read", Err: err}
		}
	}
	for line := range strings.Lines(t.text) {
		// 36 25 0:31 ROOT MOUNTPOINT opts [tags...] - cgroup SOURCE SUPEROPTS
		head, tail, ok := strings.Cut(line, " - cgroup ")
		if !ok {
			continue
		}
		h, s := strings.Fields(head), strings.Fields(tail)
		if len(h) < 5 || len(s) < 2 || !slices.Contains(strings.Split(s[1], ","), controller) {
			continue
		}
		return octal.Unescape(h[4]), octal.Unescape(h[3]), nil
	}
	return "", "", nil
}

// mountOf returns the mount point that p lies below, for a manager that came from Load: the highest
// ancestor on a cgroup file system; "" when there is none.
func mountOf(p string) string {
	mount := ""
	for up := path.Dir(p); ; up = path.Dir(up) {
		var st unix.Statfs_t
		switch err := unix.Statfs(up, &st); {
		case err == nil && isCgroupFS(&st):
			mount = up
		case err == nil || up == "/":
			return mount
		}
	}
}
