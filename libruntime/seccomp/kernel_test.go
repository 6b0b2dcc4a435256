package seccomp

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The test program runs itself again with this variable set to load a filter and try system calls.
const helperEnv = "BAILEY_TEST_SECCOMP"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		helper()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type job struct {
	Filter []byte
	Flags  uint32
	Calls  []uint32
}

// helper loads the filter into its one thread that matters and prints the errno of each call.
func helper() {
	runtime.LockOSThread()
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	prog := unix.SockFprog{Len: uint16(len(j.Filter) / insnSize), Filter: (*unix.SockFilter)(unsafe.Pointer(&j.Filter[0]))}
	results := make([]unix.Errno, len(j.Calls))
	fd, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(j.Flags), uintptr(unsafe.Pointer(&prog)))
	if e == 0 {
		for i, nr := range j.Calls {
			_, _, results[i] = unix.RawSyscall(uintptr(nr), 0, 0, 0)
		}
	}
	fmt.Println("loaded", int(e), "listener", fd > 0)
	for _, r := range results {
		fmt.Println(int(r))
	}
}

// try runs the helper; the result is what it prints, and how it ended.
func try(t *testing.T, j job) (lines []string, state *os.ProcessState) {
	t.Helper()
	in, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperEnv+"=1")
	cmd.Stdin = strings.NewReader(string(in))
	out, _ := cmd.Output()
	return strings.Split(strings.TrimSpace(string(out)), "\n"), cmd.ProcessState
}

// The kernel takes the programs and does what they say.
func TestKernel(t *testing.T) {
	docker := dockerProfile(t)
	docker.DefaultErrnoRet = nil
	docker.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow, flagTsync}
	docker.Architectures = nil // the tables of other machines' sub-architectures
	if runtime.GOARCH == "amd64" {
		docker.Architectures = []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32}
	}
	p := compile(t, docker)
	lines, state := try(t, job{p.Filter, p.Flags, []uint32{unix.SYS_GETPID, unix.SYS_KEXEC_LOAD, 600, 5000}})
	want := fmt.Sprintf("loaded 0 listener false|0|%d|%d|%d", unix.EPERM, unix.ENOSYS, unix.ENOSYS)
	if got := strings.Join(lines, "|"); got != want {
		t.Errorf("Docker's profile: %q (%v), want %q", got, state, want)
	}

	notify := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/x",
		Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv, flagTsync}, Syscalls: []specs.LinuxSyscall{rule(specs.ActNotify, "mkdirat")}}
	p = compile(t, notify)
	lines, _ = try(t, job{p.Filter, p.Flags, []uint32{unix.SYS_GETPID}})
	if got := strings.Join(lines, "|"); got != "loaded 0 listener true|0" {
		t.Errorf("a profile with a listener: %q", got)
	}

	deadly := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{rule(specs.ActKillProcess, "getpid")}}
	p = compile(t, deadly)
	_, state = try(t, job{p.Filter, p.Flags, []uint32{unix.SYS_GETPID}})
	if ws := state.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != unix.SIGSYS {
		t.Errorf("KILL_PROCESS: %v", state)
	}
}
