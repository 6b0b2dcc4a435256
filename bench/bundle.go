package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

type object = map[string]any

// workshop is everything the measurements share: compiled helpers, one root file system, bundles.
type workshop struct {
	dir      string // removed at the end
	volatile string // bundles and runtime roots: a tmpfs, as /run is where engines have them
	build    string // helpers, kept
	cgroup   string // parent of all cgroups, below every hierarchy
	seccomp  object
}

func newWorkshop() (*workshop, error) {
	build, err := filepath.Abs("build/bench")
	if err != nil {
		return nil, err
	}
	w := &workshop{build: build, cgroup: fmt.Sprintf("/bailey-bench-%d", os.Getpid())}
	if err := os.MkdirAll(build, 0o755); err != nil {
		return nil, err
	}
	for name, flag := range map[string]string{"floor": "-static", "measure": "-static", "payload": "-static", "bpf": "-lseccomp"} {
		cmd := exec.Command("gcc", "-std=gnu11", "-O2", "-o", filepath.Join(build, name), "bench/c/"+name+".c", flag)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%v: %w: %s", cmd.Args, err, out)
		}
	}
	if w.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return nil, err
	}
	w.volatile = filepath.Join(w.dir, "run")
	if err := os.Mkdir(w.volatile, 0o755); err != nil {
		return w, err
	}
	// The mount namespace is our own (scripts/cgroup-view), but the directory has to be removed again.
	if err := syscall.Mount("bench", w.volatile, "tmpfs", 0, "mode=755"); err != nil {
		return w, fmt.Errorf("mount a tmpfs: %w", err)
	}
	if err := w.account(); err != nil {
		return w, err
	}
	if w.seccomp, err = loadProfile(w.build); err != nil {
		return w, err
	}
	return w, w.layRootfs()
}

// account gives bailey subordinate IDs, and a place to record them on the disk, where the ledger usually is; both in the mount
// namespace of the measurements only.
func (w *workshop) account() error {
	lines := filepath.Join(w.dir, "subids")
	if err := os.WriteFile(lines, []byte("bailey:1879048192:16777216\n"), 0o644); err != nil {
		return err
	}
	ledger := filepath.Join(w.dir, "lib")
	if err := os.Mkdir(ledger, 0o755); err != nil {
		return err
	}
	for target, source := range map[string]string{"/etc/subuid": lines, "/etc/subgid": lines, "/var/lib": ledger} {
		if err := syscall.Mount(source, target, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount over %s: %w", target, err)
		}
	}
	return nil
}

// remove removes all files but the helpers.
func (w *workshop) remove() error {
	_ = syscall.Unmount(w.volatile, syscall.MNT_DETACH) // not mounted, if that is what failed
	return os.RemoveAll(w.dir)
}

// layRootfs makes the root file system: one static program under two names, and the files that engines
// bind-mount over.
func (w *workshop) layRootfs() error {
	root := filepath.Join(w.dir, "rootfs")
	for _, d := range []string{"bin", "dev", "proc", "sys", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	payload, err := os.ReadFile(filepath.Join(w.build, "payload"))
	if err != nil {
		return err
	}
	for _, name := range []string{"true", "pause"} {
		if err := os.WriteFile(filepath.Join(root, "bin", name), payload, 0o755); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(w.dir, "etc"), 0o755); err != nil {
		return err
	}
	for _, name := range bound {
		for _, dir := range []string{root, w.dir} {
			if err := os.WriteFile(filepath.Join(dir, "etc", name), nil, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// bundle writes a bundle and returns its directory. memory is a limit in bytes, 0 for the config's own.
func (w *workshop) bundle(runtime, config, payload string, memory int64) (string, error) {
	dir := filepath.Join(w.volatile, strings.Join([]string{runtime, config, filepath.Base(payload)}, "-"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	spec := bare(filepath.Join(w.dir, "rootfs"), w.cgroup+"/"+runtime, payload)
	if config == "realistic" {
		makeRealistic(spec, w.dir, w.seccomp)
	}
	if memory > 0 {
		resources(spec)["memory"] = object{"limit": memory}
	}
	text, err := json.MarshalIndent(spec, "", " ")
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644)
}

func resources(spec object) object { return spec["linux"].(object)["resources"].(object) }

// bare is the least that is still a container: all namespaces but the user's, /proc, /dev.
// The version is the newest that crun 1.8 accepts.
func bare(rootfs, cgroup, payload string) object {
	namespaces := []object{}
	for _, ns := range []string{"mount", "pid", "network", "ipc", "uts", "cgroup"} {
		namespaces = append(namespaces, object{"type": ns})
	}
	return object{
		"ociVersion": "1.0.2",
		"root":       object{"path": rootfs},
		"hostname":   "bench",
		"process": object{
			"user": object{"uid": 0, "gid": 0},
			"cwd":  "/",
			"env":  []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
			"args": []string{payload},
		},
		"mounts": []object{
			mount("proc", "proc", "/proc", "nosuid", "noexec", "nodev"),
			mount("tmpfs", "tmpfs", "/dev", "nosuid", "strictatime", "mode=755", "size=65536k"),
		},
		"linux": object{"namespaces": namespaces, "cgroupsPath": cgroup, "resources": object{"devices": devices()}},
	}
}

func mount(kind, source, destination string, options ...string) object {
	return object{"type": kind, "source": source, "destination": destination, "options": options}
}

// devices are Docker's rules.
func devices() []object {
	rules := []object{
		{"allow": false, "access": "rwm"},
		{"allow": true, "type": "c", "access": "m"},
		{"allow": true, "type": "b", "access": "m"},
		{"allow": true, "type": "c", "major": 136, "access": "rwm"},
	}
	for _, d := range [][2]int{{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 1}, {5, 2}} {
		rules = append(rules, object{"allow": true, "type": "c", "major": d[0], "minor": d[1], "access": "rwm"})
	}
	return rules
}

// capabilities are the 14 that Docker keeps.
var capabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
	"CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// bound are the files in /etc that Docker manages.
var bound = []string{"resolv.conf", "hostname", "hosts"}

// makeRealistic turns the bare bundle into what Docker hands to a runtime for
// `docker run -m 256m --cpus 2 --pids-limit 100 --security-opt no-new-privileges`.
func makeRealistic(spec object, dir string, seccomp object) {
	process, linux := spec["process"].(object), spec["linux"].(object)
	process["noNewPrivileges"] = true
	process["capabilities"] = object{"bounding": capabilities, "effective": capabilities, "permitted": capabilities}
	process["rlimits"] = []object{{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024}}
	mounts := append(
		spec["mounts"].([]object),
		mount("devpts", "devpts", "/dev/pts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
		mount("sysfs", "sysfs", "/sys", "nosuid", "noexec", "nodev", "ro"),
		mount("cgroup", "cgroup", "/sys/fs/cgroup", "ro", "nosuid", "noexec", "nodev"),
		mount("mqueue", "mqueue", "/dev/mqueue", "nosuid", "noexec", "nodev"),
		mount("tmpfs", "shm", "/dev/shm", "nosuid", "noexec", "nodev", "mode=1777", "size=67108864"),
	)
	for _, name := range bound {
		mounts = append(mounts, mount("bind", filepath.Join(dir, "etc", name), "/etc/"+name, "rbind", "rprivate"))
	}
	spec["mounts"] = mounts
	linux["maskedPaths"] = []string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
		"/sys/devices/virtual/powercap",
	}
	linux["readonlyPaths"] = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
	linux["seccomp"] = seccomp
	r := resources(spec)
	r["memory"] = object{"limit": 256 << 20}
	r["cpu"] = object{"shares": 512, "period": 100000, "quota": 200000}
	r["pids"] = object{"limit": 100}
}
