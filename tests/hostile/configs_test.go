package hostile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// refusal is a change of a configuration that makes the runtime refuse it. In the patch @DIR stands for the
// Env's directory and @ID for the container's ID.
type refusal struct{ name, patch, want, why string }

// idLines returns n mapping lines of one ID each.
func idLines(n int) string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"containerID":%d,"hostID":%d,"size":1}`, i*2, 200000+i*2)
	}
	return "[" + strings.Join(lines, ",") + "]"
}

func userMaps(uids string) string {
	return `{"linux":{"namespaces":[{"type":"mount"},{"type":"pid"},{"type":"user"},{"type":"uts"}],"uidMappings":` + uids +
		`,"gidMappings":[{"containerID":0,"hostID":200000,"size":65536}]}}`
}

func joined(kind, path string) string {
	return `{"linux":{"namespaces":[{"type":"mount"},{"type":"uts"},{"type":"` + kind + `","path":"` + path + `"}]}}`
}

func processWith(s string) string { return `{"process":{` + s + `}}` }
func linuxWith(s string) string   { return `{"linux":{` + s + `}}` }
func seccompWith(s string) string { return linuxWith(`"seccomp":` + s) }
func resourcesOf(s string) string { return linuxWith(`"resources":{` + s + `}`) }
func mountsWith(s string) string  { return `{"mounts":[{` + s + `}]}` }

var types = []refusal{
	{"args a string", processWith(`"args":"sh"`), "/process/args", ""},
	{"args with a number", processWith(`"args":["sh",1]`), "/process/args/1", ""},
	{"terminal a word", processWith(`"terminal":"true"`), "/process/terminal", ""},
	{"uid negative", processWith(`"user":{"uid":-1}`), "/process/user/uid", ""},
	{"uid with a fraction", processWith(`"user":{"uid":1.5}`), "/process/user/uid", ""},
	{"uid with an exponent", processWith(`"user":{"uid":1e3}`), "/process/user/uid", ""},
	{"uid beyond 32 bits", processWith(`"user":{"uid":4294967296}`), "/process/user/uid", ""},
	{"uid none", processWith(`"user":{"uid":4294967295}`), "/process/user/uid", ""},
	{"process a list", `{"process":[]}`, "/process", ""},
	{"root a string", `{"root":"rootfs"}`, "/root", ""},
	{"mounts an object", `{"mounts":{}}`, "/mounts", ""},
	{"namespaces an object", linuxWith(`"namespaces":{}`), "/linux/namespaces", ""},
	{"hooks a list", `{"hooks":[]}`, "/hooks", ""},
	{"memory limit a string", resourcesOf(`"memory":{"limit":"1g"}`), "/linux/resources/memory/limit", ""},
	{"memory limit beyond 64 bits", resourcesOf(`"memory":{"limit":9223372036854775808}`), "/linux/resources/memory/limit", ""},
	{"a version to come", `{"ociVersion":"2.0.0"}`, "/ociVersion", "not supported"},
	{"no root", `{"root":null}`, "/root", "missing"},
	{"no linux", `{"linux":null}`, "/linux", ""},
}

var processes = []refusal{
	{"no process", `{"process":null}`, "/process", ""},
	{"no args", processWith(`"args":[]`), "/process/args", ""},
	{"args with NUL", processWith(`"args":["sh","a\u0000b"]`), "/process/args/1", "NUL"},
	{"cwd relative", processWith(`"cwd":"tmp"`), "/process/cwd", "relative"},
	{"cwd a file", processWith(`"cwd":"/etc/passwd"`), "/process/cwd", "ENOTDIR"},
	{"cwd below a file", processWith(`"cwd":"/etc/passwd/x"`), "/process/cwd", "ENOTDIR"},
	{"cwd a loop of links", processWith(`"cwd":"/loop/x"`), "/process/cwd", "ELOOP"},
	{"cwd by a descriptor", processWith(`"cwd":"/proc/self/fd/7"`), "/process/cwd", ""},
	{"cwd too long", processWith(`"cwd":"` + strings.Repeat("/xxxxxxx", 600) + `"`), "/process/cwd", "ENAMETOOLONG"},
	{"env without a value", processWith(`"env":["PATH"]`), "/process/env/0", ""},
	{"executable missing", processWith(`"args":["/bin/none"]`), "/process/args/0", "no such file or directory"},
	{"executable not in PATH", processWith(`"args":["none"]`), "/process/args/0", "none"},
	{"executable a directory", processWith(`"args":["/etc"]`), "/process/args/0", "EISDIR"},
	{"not executable", processWith(`"args":["/etc/passwd"]`), "/process/args/0", "EACCES"},
	{"executable of no format", processWith(`"args":["/bin/garbage"]`), "/process/args/0", "ENOEXEC"},
	{"interpreter missing", processWith(`"args":["/bin/script"]`), "/process/args/0", "ENOENT"},
	{"executable a loop of links", processWith(`"args":["/loop"]`), "/process/args/0", "ELOOP"},
	{"executable a FIFO", processWith(`"args":["/bin/fifo"]`), "/process/args/0", "EACCES"},
	{"argument too long", processWith(`"args":["true","` + strings.Repeat("x", 200_000) + `"]`), "/process/args/0", "E2BIG"},
	{"environment too large", processWith(`"env":["PATH=/bin","A=` + strings.Repeat(strings.Repeat("x", 100_000)+`","A=`, 100) + `"]`), "/process/args/0", "E2BIG"},
	{"rlimit soft above hard", processWith(`"rlimits":[{"type":"RLIMIT_NOFILE","soft":2,"hard":1}]`), "/process/rlimits/0", ""},
	{"rlimit unknown", processWith(`"rlimits":[{"type":"RLIMIT_FOO","soft":1,"hard":1}]`), "/process/rlimits/0/type", ""},
	{"rlimit twice", processWith(`"rlimits":[{"type":"RLIMIT_CORE","soft":1,"hard":1},{"type":"RLIMIT_CORE","soft":1,"hard":1}]`), "/process/rlimits/1", ""},
	{"rlimit that the kernel refuses", processWith(`"rlimits":[{"type":"RLIMIT_NOFILE","soft":1,"hard":18446744073709551615}]`), "/process/rlimits/0", ""},
	{"oomScoreAdj", processWith(`"oomScoreAdj":1001`), "/process/oomScoreAdj", "1001"},
	{"too many groups", processWith(`"user":{"additionalGids":[1` + strings.Repeat(",1", 65536) + `]}`), "/process/user", "EINVAL"},
	{"umask", processWith(`"user":{"umask":512}`), "/process/user/umask", ""},
	{"scheduler policy", processWith(`"scheduler":{"policy":"SCHED_X"}`), "/process/scheduler/policy", ""},
	{"scheduler the kernel refuses", processWith(`"scheduler":{"policy":"SCHED_DEADLINE","runtime":1000000000000000,"deadline":1000000000000000,"period":1000000000000000}`), "/process/scheduler", ""},
	{"affinity backwards", processWith(`"execCPUAffinity":{"initial":"3-1"}`), "/process/execCPUAffinity/initial", ""},
	{"resctrl that is not mounted", linuxWith(`"intelRdt":{"closID":"x"}`), "/linux/intelRdt", "resctrl"},
	{"apparmor", processWith(`"apparmorProfile":"../../x"`), "/process/apparmorProfile", ""},
	{"selinux label", processWith(`"selinuxLabel":"a\nb"`), "/process/selinuxLabel", ""},
	{"console size", processWith(`"terminal":true,"consoleSize":{"height":65536,"width":1}`), "/process/consoleSize/height", ""},
}

var namespaces = []refusal{
	{"unknown kind", linuxWith(`"namespaces":[{"type":"net"}]`), "/linux/namespaces/0/type", ""},
	{"twice", linuxWith(`"namespaces":[{"type":"mount"},{"type":"mount"}]`), "/linux/namespaces/1", ""},
	{"path relative", joined("network", "proc/self/ns/net"), "/linux/namespaces/2/path", ""},
	{"path missing", joined("network", "@DIR/none"), "/linux/namespaces/2", "ENOENT"},
	{"path of a process that is none", joined("ipc", "/proc/0/ns/ipc"), "/linux/namespaces/2", "ENOENT"},
	{"path of another kind", joined("network", "/proc/self/ns/uts"), "/linux/namespaces/2", "another kind"},
	{"path a file", joined("network", "@DIR/outside/keep"), "/linux/namespaces/2", "not a namespace"},
	{"path a directory", joined("ipc", "@DIR/outside"), "/linux/namespaces/2", "not a namespace"},
	{"path a FIFO", joined("cgroup", "@DIR/fifo"), "/linux/namespaces/2", "not a namespace"},
	{"path a device", joined("network", "/dev/zero"), "/linux/namespaces/2", "not a namespace"},
	{"path too long", joined("network", strings.Repeat("/x", 3000)), "/linux/namespaces/2", "ENAMETOOLONG"},
	{"own user namespace", joined("user", "/proc/self/ns/user"), "/linux/namespaces/2", ""},
	{"maps without a user namespace", linuxWith(`"uidMappings":[{"hostID":200000,"size":1}]`), "/linux/uidMappings", ""},
	{"341 lines", userMaps(idLines(341)), "/linux/uidMappings", "341"},
	{"lines that are more than a page", userMaps(idLines(340)), "/linux/uidMappings", "4095"},
	{"overlap inside", userMaps(`[{"containerID":0,"hostID":200000,"size":10},{"containerID":9,"hostID":300000,"size":1}]`), "/linux/uidMappings/1/containerID", ""},
	{"overlap outside", userMaps(`[{"containerID":0,"hostID":200000,"size":10},{"containerID":10,"hostID":200009,"size":1}]`), "/linux/uidMappings/1/hostID", ""},
	{"size zero", userMaps(`[{"containerID":0,"hostID":200000,"size":0}]`), "/linux/uidMappings/0/size", ""},
	{"overflow", userMaps(`[{"containerID":0,"hostID":4294967290,"size":100}]`), "/linux/uidMappings/0/hostID", ""},
	{"user not mapped", userMaps(`[{"containerID":1,"hostID":200000,"size":10}]`), "/process/user/uid", ""},
	{"hostname without a namespace", `{"hostname":"x","linux":{"namespaces":[{"type":"mount"}]}}`, "/hostname", ""},
	{"hostname too long", `{"hostname":"` + strings.Repeat("h", 65) + `"}`, "/hostname", ""},
	{"time offset without a namespace", linuxWith(`"timeOffsets":{"boottime":{"secs":1}}`), "/linux/timeOffsets", ""},
	{"time offset before the boot", `{"linux":{"namespaces":[{"type":"mount"},{"type":"time"}],"timeOffsets":{"boottime":{"secs":-9000000000}}},"hostname":null}`, "/linux/timeOffsets", ""},
	{"network device missing", linuxWith(`"netDevices":{"none0":{}}`), "/linux/netDevices", ""},
	{"network device with a path", linuxWith(`"netDevices":{"../x":{}}`), "/linux/netDevices", ""},
	{"sysctl of the machine", linuxWith(`"sysctl":{"kernel.core_pattern":"|/x"}`), "/linux/sysctl/kernel.core_pattern", ""},
	{"sysctl with a path", linuxWith(`"sysctl":{"net/../kernel/core_pattern":"|/x"}`), "/linux/sysctl/net~1..~1kernel~1core_pattern", ""},
	{"sysctl of a shared namespace", `{"hostname":null,"linux":{"namespaces":[{"type":"mount"}],"sysctl":{"net.ipv4.ip_forward":"1"}}}`, "/linux/sysctl/net.ipv4.ip_forward", ""},
	{"sysctl that is none", linuxWith(`"sysctl":{"net.core.none":"1"}`), "/linux/sysctl/net.core.none", "ENOENT"},
	{"sysctl a directory", linuxWith(`"sysctl":{"net.core":"1"}`), "/linux/sysctl/net.core", ""},
	{"sysctl value", linuxWith(`"sysctl":{"net.core.somaxconn":"many"}`), "/linux/sysctl/net.core.somaxconn", "EINVAL"},
}

var seccomps = []refusal{
	{"no default action", seccompWith(`{}`), "/linux/seccomp/defaultAction", ""},
	{"action", seccompWith(`{"defaultAction":"SCMP_ACT_PANIC"}`), "/linux/seccomp/defaultAction", ""},
	{"architecture", seccompWith(`{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_Z80"]}`), "/linux/seccomp/architectures/0", ""},
	{"flag", seccompWith(`{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_X"]}`), "/linux/seccomp/flags/0", ""},
	{"argument", seccompWith(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_KILL","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}]}`), "/linux/seccomp/syscalls/0/args/0/index", ""},
	{"notify without a listener", seccompWith(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]}`), "/linux/seccomp", ""},
	{"errno", seccompWith(`{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":4096}`), "/linux/seccomp/defaultErrnoRet", ""},
	{"names", seccompWith(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[],"action":"SCMP_ACT_ALLOW"}]}`), "/linux/seccomp/syscalls/0/names", ""},
}

func TestTypes(t *testing.T)      { refuseAll(t, types) }
func TestProcesses(t *testing.T)  { refuseAll(t, processes) }
func TestNamespaces(t *testing.T) { refuseAll(t, namespaces) }
func TestSeccomp(t *testing.T)    { refuseAll(t, seccomps) }

// refuseAll runs and creates containers that have to be refused. What shows only when the payload is executed
// is refused by start.
func refuseAll(t *testing.T, table []refusal) {
	for _, tc := range table {
		t.Run(tc.name, func(t *testing.T) {
			p := newPlace(t)
			p.refuse(tc)
		})
	}
}

func (p *place) refuse(tc refusal) {
	p.T.Helper()
	c := p.Container(harness.Args("true"))
	p.fifo("fifo")
	p.hostileRootfs(c.Rootfs)
	patch := strings.NewReplacer("@DIR", p.Dir, "@ID", c.ID).Replace(tc.patch)
	c.WriteConfig(patched(p.T, config(p.T, c), patch))
	p.refused(c.Run(), "run "+c.ID, tc.want, tc.why)
	if r := c.Create(); r.Code != 0 {
		p.refused(r, "create "+c.ID, tc.want, tc.why)
		return
	}
	p.failed(c.Start(), "start "+c.ID, tc.want, tc.why)
	c.WaitStatus("stopped")
	c.Delete().OK(p.Env)
	p.nothingLeft()
}
