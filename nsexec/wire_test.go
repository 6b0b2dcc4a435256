package nsexec

import (
	"bytes"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/bailey-oci/bailey/libruntime/plan"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "write the plan in fuzz/seeds anew")

// everyAction is a plan with an operation of every kind; it is for the encoder and the fuzzer, not for
// execution.
func everyAction() []plan.Action {
	all := container("exit 0")
	exec, rest := all[len(all)-1], all[:len(all)-1]
	return append(rest,
		plan.BecomeRoot{},
		plan.JoinCgroup{Slot: "cgroup/0"},
		plan.Unshare{Namespaces: plan.CgroupNS},
		plan.OpenProc{},
		plan.EnterTimeNamespace{},
		plan.LimitNamespaces{Limits: []plan.NamespaceLimit{{Kind: plan.NetworkNS, Most: 3}}},
		plan.Seal{Namespaces: plan.UserNS | plan.MountNS, UIDs: []plan.IDMapping{{Size: 10}}, GIDs: []plan.IDMapping{{Size: 1}, {Container: 5, Host: 5, Size: 2}},
			Limits: []plan.NamespaceLimit{{Kind: plan.UserNS}}},
		plan.ProveSeal{Masked: []string{"/proc/kcore"}},
		plan.SetDomainname{Name: "example.org"},
		plan.WriteSysctl{Key: "net/ipv4/ip_forward", Value: "1"},
		plan.SetMountAttributes{Slot: plan.SlotRoot, Set: unix.MOUNT_ATTR_RDONLY, Recursive: true},
		plan.RemountInPlace{Path: "/proc", Set: unix.MOUNT_ATTR_RDONLY},
		plan.OpenMount{Slot: "devpts", Path: "/dev/pts", Type: "devpts"},
		plan.Unmount{Path: "/mnt/none"},
		plan.SetDumpable{Dumpable: true},
		plan.OpenTree{Slot: "mount/1", Path: "/dev/null", NoFollow: true, Device: &plan.Device{Type: 'c', Major: 1, Minor: 3}, Inside: true},
		plan.MakeDirectory{Path: "/a/b", Mode: 0o755},
		plan.OpenConsole{Devpts: "devpts", Width: 80, Height: 25},
		plan.SendConsole{},
		plan.AttachConsole{Path: "/dev/console"},
		plan.ReopenConsole{},
		plan.UseConsole{},
		plan.RunHook{Point: "createContainer", Path: "/bin/hook", Args: []string{"hook", "a"}, Env: []string{"A=B"}, Timeout: time.Second},
		plan.JoinKeyring{Name: "_ses"},
		plan.SetExecLabel{LSM: "apparmor", Label: "profile"},
		plan.SetMemoryPolicy{Mode: 2, Nodes: "0-1"},
		plan.SetPersonality{Persona: 8},
		plan.MoveRoot{},
		plan.Chroot{},
		plan.LoadSeccomp{Program: bytes.Repeat([]byte{6, 0, 0, 0, 0, 0, 255, 127}, 3), Flags: 2},
		exec,
	)
}

// The wire form of a plan with every operation is the fuzzer's seed. That it has not changed unnoticed is
// tested on the way.
func TestWireForm(t *testing.T) {
	e, err := encode(ops(everyAction()...))
	if err != nil {
		t.Fatal(err)
	}
	const seed = "fuzz/seeds/every-action"
	got := append([]byte{0}, e.bytes...) // the first byte tells the fuzzer to leave the rest as it is
	if *update {
		if err := os.WriteFile(seed, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(seed)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the wire form has changed; if that is meant, run go test ./nsexec -update")
	}
}
