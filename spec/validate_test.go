package spec

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// patched returns Example with the members of patch, a JSON object, merged over it (RFC 7386: objects merge, a
// null removes, everything else replaces).
func patched(t testing.TB, patch string) []byte {
	t.Helper()
	base, err := json.Marshal(Example())
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := json.Unmarshal(base, &a); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(patch))
	d.UseNumber() // keeps numbers above 2^53
	if err := d.Decode(&b); err != nil {
		t.Fatalf("%v in %s", err, patch)
	}
	data, err := json.Marshal(merge(a, b))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func merge(base, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	m, ok := base.(map[string]any)
	if !ok {
		m = map[string]any{}
	}
	for k, v := range p {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = merge(m[k], v)
		}
	}
	return m
}

// Pieces of patches. Lists are replaced as a whole, so a case that adds a namespace names all.
const (
	withUser = `"namespaces":[{"type":"mount"},{"type":"uts"},{"type":"user"}]`
	withTime = `"namespaces":[{"type":"mount"},{"type":"uts"},{"type":"time"}]`
	oneMap   = `[{"containerID":0,"hostID":100000,"size":65536}]`
)

func linux(s string) string   { return `{"linux":{` + s + `}}` }
func process(s string) string { return `{"process":{` + s + `}}` }
func mounts(s string) string  { return `{"mounts":[{` + s + `}]}` }
func seccomp(s string) string {
	return linux(`"seccomp":{"defaultAction":"SCMP_ACT_ERRNO",` + s + `}`)
}
func syscalls(s string) string { return seccomp(`"syscalls":[{` + s + `}]`) }
func res(s string) string      { return linux(`"resources":{` + s + `}`) }

// idLines returns n mapping lines of one ID each, with a gap between them.
func idLines(n int) string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"containerID":%d,"hostID":%d,"size":1}`, i*2, i*2)
	}
	return "[" + strings.Join(lines, ",") + "]"
}

func userMaps(uids, gids string) string {
	return linux(withUser + `,"uidMappings":` + uids + `,"gidMappings":` + gids)
}

var refused = []struct{ patch, origin string }{
	// the top level
	{`{"ociVersion":null}`, "/ociVersion"},
	{`{"ociVersion":"1.0"}`, "/ociVersion"},
	{`{"ociVersion":"1.02.0"}`, "/ociVersion"},
	{`{"ociVersion":"1.0.0-"}`, "/ociVersion"},
	{`{"ociVersion":"1.0.0-a b"}`, "/ociVersion"},
	{`{"ociVersion":"v1.0.0"}`, "/ociVersion"},
	{`{"ociVersion":"2.0.0"}`, "/ociVersion"},
	{`{"ociVersion":"0.6.0"}`, "/ociVersion"},
	{`{"root":null}`, "/root"},
	{`{"root":{"path":""}}`, "/root/path"},
	{`{"root":{"path":"a\u0000b"}}`, "/root/path"},
	{`{"linux":null}`, "/linux"},
	{`{"annotations":{"":"x"}}`, "/annotations"},
	{`{"hostname":"` + strings.Repeat("h", 65) + `"}`, "/hostname"},
	{`{"hostname":"a\u0000"}`, "/hostname"},
	{`{"domainname":"` + strings.Repeat("d", 65) + `"}`, "/domainname"},
	{linux(`"namespaces":[{"type":"mount"}]`), "/hostname"},
	{`{"hostname":null,"domainname":"d","linux":{"namespaces":[{"type":"mount"}]}}`, "/domainname"},
	// process
	{process(`"args":[]`), "/process/args"},
	{process(`"args":null`), "/process/args"},
	{process(`"args":[""]`), "/process/args/0"},
	{process(`"args":["sh","-c","a\u0000b"]`), "/process/args/2"},
	{process(`"cwd":null`), "/process/cwd"},
	{process(`"cwd":"tmp"`), "/process/cwd"},
	{process(`"cwd":"/a\u0000"`), "/process/cwd"},
	{process(`"env":["A=b","PATH"]`), "/process/env/1"},
	{process(`"env":["=b"]`), "/process/env/0"},
	{process(`"env":["A=b\u0000C=d"]`), "/process/env/0"},
	{process(`"consoleSize":{"height":65536,"width":1}`), "/process/consoleSize/height"},
	{process(`"consoleSize":{"height":1,"width":65536}`), "/process/consoleSize/width"},
	{process(`"user":{"uid":4294967295}`), "/process/user/uid"},
	{process(`"user":{"gid":4294967295}`), "/process/user/gid"},
	{process(`"user":{"additionalGids":[1,4294967295]}`), "/process/user/additionalGids/1"},
	{process(`"user":{"umask":512}`), "/process/user/umask"},
	{process(`"rlimits":[{"type":"RLIMIT_FOO"}]`), "/process/rlimits/0/type"},
	{process(`"rlimits":[{"type":"rlimit_core"}]`), "/process/rlimits/0/type"},
	{process(`"rlimits":[{"type":"RLIMIT_CORE"},{"type":"RLIMIT_CORE"}]`), "/process/rlimits/1/type"},
	{process(`"rlimits":[{"type":"RLIMIT_CORE","soft":2,"hard":1}]`), "/process/rlimits/0/soft"},
	{process(`"oomScoreAdj":1001`), "/process/oomScoreAdj"},
	{process(`"oomScoreAdj":-1001`), "/process/oomScoreAdj"},
	{process(`"apparmorProfile":"a\nb"`), "/process/apparmorProfile"},
	{process(`"selinuxLabel":"a\u0000"`), "/process/selinuxLabel"},
	{process(`"ioPriority":{"class":"IOPRIO_CLASS_NONE","priority":0}`), "/process/ioPriority/class"},
	{process(`"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":8}`), "/process/ioPriority/priority"},
	{process(`"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":-1}`), "/process/ioPriority/priority"},
	{process(`"execCPUAffinity":{"initial":"0-"}`), "/process/execCPUAffinity/initial"},
	{process(`"execCPUAffinity":{"final":"7-3"}`), "/process/execCPUAffinity/final"},
	{process(`"scheduler":{}`), "/process/scheduler/policy"},
	{process(`"scheduler":{"policy":"SCHED_EXT"}`), "/process/scheduler/policy"},
	{process(`"scheduler":{"policy":"SCHED_OTHER","nice":20}`), "/process/scheduler/nice"},
	{process(`"scheduler":{"policy":"SCHED_FIFO","nice":1,"priority":1}`), "/process/scheduler/nice"},
	{process(`"scheduler":{"policy":"SCHED_FIFO"}`), "/process/scheduler/priority"},
	{process(`"scheduler":{"policy":"SCHED_RR","priority":100}`), "/process/scheduler/priority"},
	{process(`"scheduler":{"policy":"SCHED_BATCH","priority":1}`), "/process/scheduler/priority"},
	{process(`"scheduler":{"policy":"SCHED_OTHER","flags":["SCHED_FLAG_FOO"]}`), "/process/scheduler/flags/0"},
	{process(`"scheduler":{"policy":"SCHED_OTHER","runtime":1}`), "/process/scheduler/runtime"},
	{process(`"scheduler":{"policy":"SCHED_DEADLINE","runtime":1023,"deadline":5000}`), "/process/scheduler/runtime"},
	{process(`"scheduler":{"policy":"SCHED_DEADLINE","runtime":5000,"deadline":4000}`), "/process/scheduler/deadline"},
	{process(`"scheduler":{"policy":"SCHED_DEADLINE","runtime":5000,"deadline":6000,"period":5500}`), "/process/scheduler/period"},
	// mounts
	{mounts(`"type":"tmpfs"`), "/mounts/0/destination"},
	{`{"mounts":[null]}`, "/mounts/0/destination"},
	{mounts(`"destination":"/a\u0000b","type":"tmpfs"`), "/mounts/0/destination"},
	{mounts(`"destination":"/a","type":"tm\u0000pfs"`), "/mounts/0/type"},
	{mounts(`"destination":"/a","type":"tmpfs","source":"\u0000"`), "/mounts/0/source"},
	{mounts(`"destination":"/a","type":"tmpfs","options":["ro","mode=\u0000"]`), "/mounts/0/options/1"},
	{mounts(`"destination":"/a"`), "/mounts/0/type"},
	{mounts(`"destination":"/a","type":"bind"`), "/mounts/0/source"},
	{mounts(`"destination":"/a","options":["rbind"]`), "/mounts/0/source"},
	{mounts(`"destination":"/a","source":"/b","options":["bind","idmap"]`), "/mounts/0/options/1"},
	{mounts(`"destination":"/a","source":"/b","options":["bind"],"uidMappings":` + oneMap), "/mounts/0/gidMappings"},
	{mounts(`"destination":"/a","source":"/b","options":["bind"],"gidMappings":` + oneMap), "/mounts/0/uidMappings"},
	{mounts(`"destination":"/a","source":"/b","options":["bind"],"uidMappings":[{"size":0}],"gidMappings":` + oneMap), "/mounts/0/uidMappings/0/size"},
	// hooks
	{`{"hooks":{"prestart":[{"path":"bin/x"}]}}`, "/hooks/prestart/0/path"},
	{`{"hooks":{"createRuntime":[{}]}}`, "/hooks/createRuntime/0/path"},
	{`{"hooks":{"createContainer":[{"path":"/x"},{"path":"/x","timeout":0}]}}`, "/hooks/createContainer/1/timeout"},
	{`{"hooks":{"startContainer":[{"path":"/x","timeout":-1}]}}`, "/hooks/startContainer/0/timeout"},
	{`{"hooks":{"poststart":[{"path":"/x","args":["a","\u0000"]}]}}`, "/hooks/poststart/0/args/1"},
	{`{"hooks":{"poststop":[{"path":"/x","env":["\u0000"]}]}}`, "/hooks/poststop/0/env/0"},
	// namespaces, ID maps
	{linux(`"namespaces":[{"type":"net"}]`), "/linux/namespaces/0/type"},
	{linux(`"namespaces":[{}]`), "/linux/namespaces/0/type"},
	{linux(`"namespaces":[{"type":"pid"},{"type":"uts"},{"type":"pid"}]`), "/linux/namespaces/2"},
	{linux(`"namespaces":[{"type":"uts"},{"type":"pid","path":"proc/1/ns/pid"}]`), "/linux/namespaces/1/path"},
	{linux(`"namespaces":[{"type":"uts"},{"type":"pid","path":"/a\u0000b"}]`), "/linux/namespaces/1/path"},
	{linux(`"uidMappings":` + oneMap), "/linux/uidMappings"},
	{linux(`"gidMappings":` + oneMap), "/linux/gidMappings"},
	{linux(withUser), "/linux/uidMappings"},
	{linux(withUser + `,"uidMappings":` + oneMap), "/linux/gidMappings"},
	{linux(withUser + `,"gidMappings":` + oneMap), "/linux/uidMappings"},
	{userMaps(idLines(341), oneMap), "/linux/uidMappings"},
	{userMaps(oneMap, idLines(341)), "/linux/gidMappings"},
	{userMaps(`[{"size":0}]`, oneMap), "/linux/uidMappings/0/size"},
	{userMaps(`[{"containerID":4294967295,"size":1}]`, oneMap), "/linux/uidMappings/0/containerID"},
	{userMaps(`[{"hostID":4294967295,"size":1}]`, oneMap), "/linux/uidMappings/0/hostID"},
	{userMaps(`[{"size":4294967295},{"containerID":4294967295,"hostID":5,"size":2}]`, oneMap), "/linux/uidMappings/1/containerID"},
	{userMaps(`[{"hostID":4294900000,"size":100000}]`, oneMap), "/linux/uidMappings/0/hostID"},
	{userMaps(`[{"containerID":0,"hostID":1000,"size":10},{"containerID":9,"hostID":2000,"size":1}]`, oneMap), "/linux/uidMappings/1/containerID"},
	{userMaps(`[{"containerID":5,"hostID":1000,"size":10},{"containerID":0,"hostID":2000,"size":6}]`, oneMap), "/linux/uidMappings/1/containerID"},
	{userMaps(oneMap, `[{"containerID":0,"hostID":1000,"size":10},{"containerID":50,"hostID":1005,"size":1}]`), "/linux/gidMappings/1/hostID"},
	{`{"process":{"user":{"uid":65536}},` + userMaps(oneMap, oneMap)[1:], "/process/user/uid"},
	{`{"process":{"user":{"gid":65536}},` + userMaps(oneMap, oneMap)[1:], "/process/user/gid"},
	{`{"process":{"user":{"additionalGids":[7,70000]}},` + userMaps(oneMap, oneMap)[1:], "/process/user/additionalGids/1"},
	{linux(`"timeOffsets":{"boottime":{"secs":1}}`), "/linux/timeOffsets"},
	{linux(`"namespaces":[{"type":"uts"},{"type":"time","path":"/t"}],"timeOffsets":{"boottime":{"secs":1}}`), "/linux/timeOffsets"},
	{linux(withTime + `,"timeOffsets":{"realtime":{"secs":1}}`), "/linux/timeOffsets/realtime"},
	{linux(withTime + `,"timeOffsets":{"boottime":{"nanosecs":1000000000}}`), "/linux/timeOffsets/boottime/nanosecs"},
	{linux(withTime + `,"timeOffsets":{"monotonic":{"secs":-9223372036854775808}}`), "/linux/timeOffsets/monotonic/secs"},
	// sysctl
	{linux(`"sysctl":{"kernel.core_pattern":"|/x"}`), "/linux/sysctl/kernel.core_pattern"},
	{linux(`"sysctl":{"kernel/core_pattern":"|/x"}`), "/linux/sysctl/kernel~1core_pattern"},
	{linux(`"sysctl":{"net/../kernel/core_pattern":"|/x"}`), "/linux/sysctl/net~1..~1kernel~1core_pattern"},
	{linux(`"sysctl":{"net.//.kernel.core_pattern":"|/x"}`), "/linux/sysctl/net.~1~1.kernel.core_pattern"},
	{linux(`"sysctl":{"net":"1"}`), "/linux/sysctl/net"},
	{linux(`"sysctl":{"":"1"}`), "/linux/sysctl/"},
	{linux(`"sysctl":{"network.x":"1"}`), "/linux/sysctl/network.x"},
	{linux(`"sysctl":{"kernel.shm_foo":"1"}`), "/linux/sysctl/kernel.shm_foo"},
	{linux(`"sysctl":{"kernel.hostname":"x"}`), "/linux/sysctl/kernel.hostname"},
	{linux(`"sysctl":{"vm.swappiness":"1"}`), "/linux/sysctl/vm.swappiness"},
	{linux(`"sysctl":{"fs.mqueue":"1"}`), "/linux/sysctl/fs.mqueue"},
	{linux(`"sysctl":{"a\nbailey: ok":"1"}`), `/linux/sysctl/a\nbailey: ok`},
	{linux(`"sysctl":{"net.core.somaxconn":"1\u0000"}`), "/linux/sysctl/net.core.somaxconn"},
	{linux(`"namespaces":[{"type":"uts"}],"sysctl":{"net.core.somaxconn":"1"}`), "/linux/sysctl/net.core.somaxconn"},
	{linux(`"namespaces":[{"type":"uts"}],"sysctl":{"kernel.msgmax":"1"}`), "/linux/sysctl/kernel.msgmax"},
	{linux(`"namespaces":[{"type":"uts"}],"sysctl":{"fs.mqueue.msg_max":"1"}`), "/linux/sysctl/fs.mqueue.msg_max"},
	{linux(`"sysctl":{"user.max_user_namespaces":"0"}`), "/linux/sysctl/user.max_user_namespaces"},
	{linux(`"namespaces":[{"type":"uts"},{"type":"user","path":"/u"}],"sysctl":{"user.max_user_namespaces":"0"}`), "/linux/sysctl/user.max_user_namespaces"},
	{`{"domainname":"a","linux":{"sysctl":{"kernel.domainname":"b"}}}`, "/linux/sysctl/kernel.domainname"},
	{`{"hostname":null,"linux":{"namespaces":[],"sysctl":{"kernel.domainname":"b"}}}`, "/linux/sysctl/kernel.domainname"},
	// devices
	{linux(`"devices":[{"path":"dev/x","type":"c"}]`), "/linux/devices/0/path"},
	{linux(`"devices":[{"path":"/dev/x","type":"d"}]`), "/linux/devices/0/type"},
	{linux(`"devices":[{"path":"/dev/x"}]`), "/linux/devices/0/type"},
	{linux(`"devices":[{"path":"/dev/x","type":"c","major":-1}]`), "/linux/devices/0/major"},
	{linux(`"devices":[{"path":"/dev/x","type":"b","major":4096}]`), "/linux/devices/0/major"},
	{linux(`"devices":[{"path":"/dev/x","type":"u","minor":1048576}]`), "/linux/devices/0/minor"},
	{linux(`"devices":[{"path":"/dev/x","type":"c","fileMode":65536}]`), "/linux/devices/0/fileMode"},
	{linux(`"devices":[{"path":"/dev/x","type":"c","uid":4294967295}]`), "/linux/devices/0/uid"},
	{linux(`"namespaces":[{"type":"uts"}],"netDevices":{"eth0":{}}`), "/linux/netDevices"},
	{linux(`"netDevices":{"sixteen-bytes-xx":{}}`), "/linux/netDevices/sixteen-bytes-xx"},
	{linux(`"netDevices":{"a/b":{}}`), "/linux/netDevices/a~1b"},
	{linux(`"netDevices":{"..":{}}`), "/linux/netDevices/.."},
	{linux(`"netDevices":{"eth%d":{}}`), "/linux/netDevices/eth%d"},
	{linux(`"netDevices":{"eth0":{"name":"a b"}}`), "/linux/netDevices/eth0/name"},
	{linux(`"netDevices":{"eth0":{"name":"a%db"}}`), "/linux/netDevices/eth0/name"},
	{linux(`"netDevices":{"eth0":{"name":"fourteen-bytes%d"}}`), "/linux/netDevices/eth0/name"},
	{linux(`"netDevices":{"eth0":{},"eth1":{"name":"eth0"}}`), "/linux/netDevices/eth1"},
	// seccomp
	{linux(`"seccomp":{}`), "/linux/seccomp/defaultAction"},
	{linux(`"seccomp":{"defaultAction":"SCMP_ACT_FOO"}`), "/linux/seccomp/defaultAction"},
	{linux(`"seccomp":{"defaultAction":"SCMP_ACT_NOTIFY"}`), "/linux/seccomp/defaultAction"},
	{linux(`"seccomp":{"defaultAction":"SCMP_ACT_KILL","defaultErrnoRet":1}`), "/linux/seccomp/defaultErrnoRet"},
	{seccomp(`"defaultErrnoRet":4096`), "/linux/seccomp/defaultErrnoRet"},
	{seccomp(`"architectures":["SCMP_ARCH_X86_64","amd64"]`), "/linux/seccomp/architectures/1"},
	{seccomp(`"flags":["SECCOMP_FILTER_FLAG_NEW_LISTENER"]`), "/linux/seccomp/flags/0"},
	{seccomp(`"listenerMetadata":"x"`), "/linux/seccomp/listenerMetadata"},
	{seccomp(`"listenerPath":"/` + strings.Repeat("p", 107) + `"`), "/linux/seccomp/listenerPath"},
	{syscalls(`"names":["read"],"action":"SCMP_ACT_NOTIFY"`), "/linux/seccomp/listenerPath"},
	{syscalls(`"names":[],"action":"SCMP_ACT_ALLOW"`), "/linux/seccomp/syscalls/0/names"},
	{syscalls(`"names":["read",""],"action":"SCMP_ACT_ALLOW"`), "/linux/seccomp/syscalls/0/names/1"},
	{syscalls(`"names":["re\u0000ad"],"action":"SCMP_ACT_ALLOW"`), "/linux/seccomp/syscalls/0/names/0"},
	{syscalls(`"names":["read"]`), "/linux/seccomp/syscalls/0/action"},
	{syscalls(`"names":["read"],"action":"SCMP_ACT_ALLOW","errnoRet":1`), "/linux/seccomp/syscalls/0/errnoRet"},
	{syscalls(`"names":["read"],"action":"SCMP_ACT_TRACE","errnoRet":65536`), "/linux/seccomp/syscalls/0/errnoRet"},
	{syscalls(`"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":6,"op":"SCMP_CMP_EQ"}]`), "/linux/seccomp/syscalls/0/args/0/index"},
	{syscalls(`"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"op":"=="}]`), "/linux/seccomp/syscalls/0/args/0/op"},
	// resources
	{res(`"devices":[{"type":"d"}]`), "/linux/resources/devices/0/type"},
	{res(`"devices":[{"type":"c","access":"rx"}]`), "/linux/resources/devices/0/access"},
	{res(`"devices":[{"type":"c","major":-2}]`), "/linux/resources/devices/0/major"},
	{res(`"devices":[{"type":"c","minor":1048576}]`), "/linux/resources/devices/0/minor"},
	{res(`"memory":{"limit":-2}`), "/linux/resources/memory/limit"},
	{res(`"memory":{"swap":1000}`), "/linux/resources/memory/swap"},
	{res(`"memory":{"limit":1000,"swap":999}`), "/linux/resources/memory/swap"},
	{res(`"memory":{"swappiness":101}`), "/linux/resources/memory/swappiness"},
	{res(`"cpu":{"period":999}`), "/linux/resources/cpu/period"},
	{res(`"cpu":{"period":1000001}`), "/linux/resources/cpu/period"},
	{res(`"cpu":{"quota":999}`), "/linux/resources/cpu/quota"},
	{res(`"cpu":{"quota":1000,"burst":1001}`), "/linux/resources/cpu/burst"},
	{res(`"cpu":{"realtimeRuntime":11,"realtimePeriod":10}`), "/linux/resources/cpu/realtimeRuntime"},
	{res(`"cpu":{"idle":2}`), "/linux/resources/cpu/idle"},
	{res(`"cpu":{"cpus":"0,,1"}`), "/linux/resources/cpu/cpus"},
	{res(`"cpu":{"mems":"a"}`), "/linux/resources/cpu/mems"},
	{res(`"blockIO":{"weight":9}`), "/linux/resources/blockIO/weight"},
	{res(`"blockIO":{"leafWeight":1001}`), "/linux/resources/blockIO/leafWeight"},
	{res(`"blockIO":{"weightDevice":[{"major":8,"minor":0}]}`), "/linux/resources/blockIO/weightDevice/0"},
	{res(`"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":5}]}`), "/linux/resources/blockIO/weightDevice/0/weight"},
	{res(`"blockIO":{"throttleReadIOPSDevice":[{"major":-1,"minor":0,"rate":5}]}`), "/linux/resources/blockIO/throttleReadIOPSDevice/0"},
	{res(`"hugepageLimits":[{"pageSize":"2M","limit":1}]`), "/linux/resources/hugepageLimits/0/pageSize"},
	{res(`"hugepageLimits":[{"pageSize":"../2MB","limit":1}]`), "/linux/resources/hugepageLimits/0/pageSize"},
	{res(`"hugepageLimits":[{"pageSize":"2MB"},{"pageSize":"2MB"}]`), "/linux/resources/hugepageLimits/1/pageSize"},
	{res(`"network":{"priorities":[{"name":"","priority":1}]}`), "/linux/resources/network/priorities/0/name"},
	{res(`"rdma":{"mlx5_0":{}}`), "/linux/resources/rdma/mlx5_0"},
	{res(`"rdma":{"a b":{"hcaHandles":1}}`), "/linux/resources/rdma/a b"},
	{res(`"unified":{"../memory.max":"1"}`), "/linux/resources/unified/..~1memory.max"},
	{res(`"unified":{"..":"1"}`), "/linux/resources/unified/.."},
	{res(`"unified":{"memory.max":"1\u0000"}`), "/linux/resources/unified/memory.max"},
	// the rest of linux
	{linux(`"cgroupsPath":"/a/../../b"`), "/linux/cgroupsPath"},
	{linux(`"cgroupsPath":"a\nb"`), "/linux/cgroupsPath"},
	{linux(`"rootfsPropagation":"rr"`), "/linux/rootfsPropagation"},
	{linux(`"rootfsPropagation":"r"`), "/linux/rootfsPropagation"},
	{linux(`"rootfsPropagation":"rrshared"`), "/linux/rootfsPropagation"},
	{linux(`"maskedPaths":["/a","proc/b"]`), "/linux/maskedPaths/1"},
	{linux(`"readonlyPaths":[""]`), "/linux/readonlyPaths/0"},
	{linux(`"maskedPaths":["/a\u0000"]`), "/linux/maskedPaths/0"},
	{linux(`"mountLabel":"a\nb"`), "/linux/mountLabel"},
	{linux(`"personality":{}`), "/linux/personality/domain"},
	{linux(`"personality":{"domain":"LINUX","flags":["ADDR_NO_RANDOMIZE"]}`), "/linux/personality/flags/0"},
	{linux(`"intelRdt":{"closID":"../x"}`), "/linux/intelRdt/closID"},
	{linux(`"intelRdt":{"closID":"info"}`), "/linux/intelRdt/closID"},
	{linux(`"intelRdt":{"l3CacheSchema":"L3:0=f\nMB:0=1"}`), "/linux/intelRdt/l3CacheSchema"},
	{linux(`"intelRdt":{"memBwSchema":"L3:0=f"}`), "/linux/intelRdt/memBwSchema"},
	{linux(`"intelRdt":{"schemata":["L3:0=f","a\nb"]}`), "/linux/intelRdt/schemata/1"},
	{linux(`"memoryPolicy":{"mode":"MPOL_FOO"}`), "/linux/memoryPolicy/mode"},
	{linux(`"memoryPolicy":{"mode":"MPOL_BIND"}`), "/linux/memoryPolicy/nodes"},
	{linux(`"memoryPolicy":{"mode":"MPOL_LOCAL","nodes":"0"}`), "/linux/memoryPolicy/nodes"},
	{linux(`"memoryPolicy":{"mode":"MPOL_BIND","nodes":"1-"}`), "/linux/memoryPolicy/nodes"},
	{linux(`"memoryPolicy":{"mode":"MPOL_BIND","nodes":"0","flags":["X"]}`), "/linux/memoryPolicy/flags/0"},
	{linux(`"memoryPolicy":{"mode":"MPOL_DEFAULT","flags":["MPOL_F_STATIC_NODES"]}`), "/linux/memoryPolicy/flags/0"},
	{linux(`"memoryPolicy":{"mode":"MPOL_BIND","nodes":"0","flags":["MPOL_F_STATIC_NODES","MPOL_F_RELATIVE_NODES"]}`), "/linux/memoryPolicy/flags/0"},
}

func TestValidateRefuses(t *testing.T) {
	for _, c := range refused {
		t.Run(c.origin, func(t *testing.T) {
			s, err := Parse(patched(t, c.patch))
			if err != nil {
				t.Fatalf("%v: %s", err, c.patch)
			}
			checkFault(t, Validate(s), c.origin)
		})
	}
}

var accepted = []string{
	`{}`,
	`{"process":null}`,
	`{"ociVersion":"1.0.0"}`,
	`{"ociVersion":"1.0.2-dev"}`,
	`{"ociVersion":"1.99.0-rc.1+build"}`,
	`{"windows":{"layerFolders":[]},"vm":7,"future":true}`,
	`{"hostname":"` + strings.Repeat("h", 64) + `"}`,
	`{"hostname":null,"linux":{"namespaces":[]}}`,
	`{"annotations":{"a":""}}`,
	process(`"capabilities":{"bounding":["CAP_FLY"],"effective":["CAP_CHOWN"],"ambient":["CAP_KILL"]}`),
	process(`"terminal":false,"consoleSize":{"height":99999,"width":99999}`),
	process(`"rlimits":[{"type":"RLIMIT_NOFILE","soft":18446744073709551615,"hard":18446744073709551615}]`),
	process(`"env":["A=","B=c=d","A=twice"]`),
	process(`"scheduler":{"policy":"SCHED_OTHER","nice":-20,"flags":["SCHED_FLAG_RESET_ON_FORK"]}`),
	process(`"scheduler":{"policy":"SCHED_DEADLINE","runtime":5000,"deadline":6000}`),
	process(`"scheduler":{"policy":"SCHED_FIFO","flags":["SCHED_FLAG_KEEP_PARAMS"]}`),
	process(`"ioPriority":{"class":"IOPRIO_CLASS_IDLE","priority":7}`),
	process(`"user":{"umask":511,"additionalGids":[4294967294]}`),
	mounts(`"destination":"relative","type":"tmpfs"`),
	mounts(`"destination":"/a","options":["rprivate"]`),
	mounts(`"destination":"/a","type":"bind","options":["remount","ro"]`),
	mounts(`"destination":"/a","source":"/b","options":["bind","idmap"],"uidMappings":` + oneMap + `,"gidMappings":` + oneMap),
	mounts(`"destination":"/a","source":"/b","options":["bind","idmap=uids=0-1-2;gids=0-1-2"]`),
	userMaps(oneMap, `[{"containerID":10,"hostID":5,"size":5},{"containerID":0,"hostID":10,"size":10}]`),
	userMaps(`[{"size":4294967295}]`, `[{"size":4294967295}]`),
	userMaps(idLines(340), oneMap),
	linux(`"namespaces":[{"type":"uts"},{"type":"user","path":"/proc/1/ns/user"}]`),
	// As containerd writes it for the second container of a pod.
	linux(`"namespaces":[{"type":"uts"},{"type":"user","path":"/proc/1/ns/user"}],"uidMappings":` + oneMap + `,"gidMappings":` + oneMap),
	linux(withUser + `,"sysctl":{"user.max_net_namespaces":"0"},"uidMappings":` + oneMap + `,"gidMappings":` + oneMap),
	linux(withTime + `,"timeOffsets":{"boottime":{"secs":-5,"nanosecs":999999999},"monotonic":{}}`),
	linux(`"sysctl":{"net.ipv4.ping_group_range":"0 0","net/core/somaxconn":"1","kernel.shmmax":"1","kernel.sem":"1 2 3 4","fs.mqueue.msg_max":"1","kernel.domainname":"d"}`),
	`{"domainname":"d","linux":{"sysctl":{"kernel.domainname":"d"}}}`,
	linux(`"devices":[{"path":"/dev/fuse","type":"c","major":10,"minor":229,"fileMode":8630,"uid":0,"gid":0},{"path":"/p","type":"p"}]`),
	linux(`"netDevices":{"eth0":{},"eth1":{"name":"net%d"},"eth2":{"name":"net%d"},"eth3":{"name":"fifteen-bytes-x"}}`),
	linux(`"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/s","listenerMetadata":"x","syscalls":[{"names":["future_call"],"action":"SCMP_ACT_NOTIFY"}]}`),
	syscalls(`"names":["a"],"action":"SCMP_ACT_TRACE","errnoRet":65535`),
	res(`"memory":{"limit":-1,"swap":-1,"reservation":0},"pids":{"limit":-1},"cpu":{"quota":-1,"period":0,"burst":7,"cpus":"0-3,7","mems":"0"}`),
	res(`"memory":{"limit":1000,"swap":1000},"hugepageLimits":[{"pageSize":"2MB"},{"pageSize":"1GB"}],"unified":{"memory.high":"max"}`),
	res(`"blockIO":{"weight":0,"weightDevice":[{"major":8,"minor":0,"leafWeight":10}]},"rdma":{"mlx5_0":{"hcaHandles":3}}`),
	res(`"devices":[{"allow":true,"type":"c","major":-1,"minor":7,"access":"rwm"},{"allow":false}]`),
	linux(`"cgroupsPath":"system.slice:bailey:x"`),
	linux(`"cgroupsPath":"/a/b..c"`),
	linux(`"rootfsPropagation":"rslave","personality":{"domain":"LINUX32"},"intelRdt":{"closID":"/"}`),
	linux(`"memoryPolicy":{"mode":"MPOL_PREFERRED"}`),
	linux(`"memoryPolicy":{"mode":"MPOL_BIND","nodes":"0-1,3","flags":["MPOL_F_STATIC_NODES","MPOL_F_NUMA_BALANCING"]}`),
}

func TestValidateAccepts(t *testing.T) {
	for _, patch := range accepted {
		s, err := Parse(patched(t, patch))
		if err == nil {
			err = Validate(s)
		}
		if err != nil {
			t.Errorf("%v: %s", err, patch)
		}
	}
}

// TestMapText covers maps of allowed length whose text is too long for the kernel.
func TestMapText(t *testing.T) {
	lines := make([]specs.LinuxIDMapping, 340)
	for i := range lines {
		lines[i] = specs.LinuxIDMapping{ContainerID: 3000000000 + 2*uint32(i), HostID: 3000000000 + 2*uint32(i), Size: 1}
	}
	s := ExampleRootless(0, 0)
	s.Linux.GIDMappings = lines
	// 340 lines of 24 bytes are 8160 bytes; machines with larger pages take them.
	if err := validateMap(lines, "/x"); err == nil && unix.Getpagesize() <= 8160 {
		t.Error("a map of more than a page is accepted")
	}
}

func TestValidateExecProcess(t *testing.T) {
	s := ExampleHardened(100000, 100000, 1000)
	p := &specs.Process{Args: []string{"id"}, Cwd: "/", User: specs.User{UID: 999}}
	if err := ValidateProcess(p, s); err != nil {
		t.Error(err)
	}
	p.User.UID = 1000
	checkFault(t, ValidateProcess(p, s), "process /user/uid")
	p.User.UID, p.Cwd = 0, ""
	checkFault(t, ValidateProcess(p, s), "process /cwd")
}

func TestValidateUpdate(t *testing.T) {
	r, err := ParseResources([]byte(`{"memory":{"limit":10,"swap":5},"pids":{"limit":7}}`))
	if err != nil {
		t.Fatal(err)
	}
	checkFault(t, ValidateResources(r), "resources /memory/swap")
	*r.Memory.Swap = 10
	if err := ValidateResources(r); err != nil {
		t.Error(err)
	}
	_, err = ParseResources([]byte(`{"memory":{"limit":"10"}}`))
	checkFault(t, err, "resources /memory/limit")
}
