package harness

import (
	"os"
	"slices"
	"strconv"
	"strings"
)

func readLines(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n"), nil
}

func readlink(path string) string {
	link, err := os.Readlink(path)
	if err != nil {
		return ""
	}
	return link
}

// pids returns the IDs of all processes.
func pids() []int {
	f, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	var list []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return list
}

// ProcStat is part of /proc/PID/stat.
type ProcStat struct {
	State           string
	Parent, Session int
	TTY             int
	Start           string
}

// Stat returns /proc/PID/stat, or nil if there is no such process.
func Stat(pid int) *ProcStat {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	s := string(b)
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(f) < 20 {
		return nil
	}
	number := func(i int) int { n, _ := strconv.Atoi(f[i]); return n }
	return &ProcStat{State: f[0], Parent: number(1), Session: number(3), TTY: number(4), Start: f[19]}
}

// Alive reports whether a process has not ended.
func Alive(pid int) bool {
	s := Stat(pid)
	return s != nil && s.State != "Z" && s.State != "X"
}

// Namespace returns what /proc/PID/ns/KIND points to, "" if it cannot be read.
func Namespace(pid int, kind string) string {
	return readlink("/proc/" + strconv.Itoa(pid) + "/ns/" + kind)
}

// Status returns the fields of /proc/PID/status with their white space as single blanks.
func (e *Env) Status(pid int) map[string]string {
	e.T.Helper()
	lines, err := readLines("/proc/" + strconv.Itoa(pid) + "/status")
	e.Must(err)
	fields := make(map[string]string)
	for _, line := range lines {
		key, value, _ := strings.Cut(line, ":")
		fields[key] = strings.Join(strings.Fields(value), " ")
	}
	return fields
}

// ProcFile returns the content of /proc/PID/NAME without a newline at the end.
func (e *Env) ProcFile(pid int, name string) string {
	e.T.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + name)
	e.Must(err)
	return strings.TrimSuffix(string(b), "\n")
}

// Mount is a line of mountinfo.
type Mount struct {
	Root, Target, Options string
	// Tags are the optional fields, such as shared:1.
	Tags                []string
	Type, Source, Super string
}

// Has reports whether the mount has an option, of its own or of its filesystem.
func (m *Mount) Has(option string) bool {
	return slices.Contains(strings.Split(m.Options+","+m.Super, ","), option)
}

// Mounts returns the mounts that a process sees.
func (e *Env) Mounts(pid int) []Mount {
	e.T.Helper()
	var mounts []Mount
	for _, line := range strings.Split(e.ProcFile(pid, "mountinfo"), "\n") {
		f := strings.Fields(line)
		dash := slices.Index(f, "-")
		if dash < 6 || len(f) < dash+4 {
			e.T.Fatalf("mountinfo: %q", line)
		}
		mounts = append(mounts, Mount{Root: f[3], Target: f[4], Options: f[5], Tags: f[6:dash],
			Type: f[dash+1], Source: f[dash+2], Super: f[dash+3]})
	}
	return mounts
}

// MountAt returns the topmost mount at a target, or nil.
func (e *Env) MountAt(pid int, target string) *Mount {
	e.T.Helper()
	var found *Mount
	for _, m := range e.Mounts(pid) {
		if m.Target == target {
			found = &m
		}
	}
	return found
}

// Limits returns the lines of /proc/PID/limits by name, each as "soft hard".
func (e *Env) Limits(pid int) map[string]string {
	e.T.Helper()
	limits := make(map[string]string)
	for _, line := range strings.Split(e.ProcFile(pid, "limits"), "\n")[1:] {
		if len(line) > 26 {
			f := strings.Fields(line[26:])
			limits[strings.TrimSpace(line[:26])] = f[0] + " " + f[1]
		}
	}
	return limits
}
