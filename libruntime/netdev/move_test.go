package netdev

import (
	"errors"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namespaces gives the test's thread a network namespace of its own and returns another. The thread is not
// used again.
func namespaces(t *testing.T) (target *os.File) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("no network namespace: %v", err)
	}
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	return f
}

func device(t *testing.T, name string) netlink.Link {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = name, 1400
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: name + "p"}); err != nil {
		t.Skipf("no veth device: %v", err)
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return link
}

func address(t *testing.T, link netlink.Link, cidr string, scope int, lifetime int) {
	t.Helper()
	a, err := netlink.ParseAddr(cidr)
	if err != nil {
		t.Fatal(err)
	}
	a.Scope, a.ValidLft, a.PreferedLft = scope, lifetime, lifetime
	if strings.Contains(cidr, ":") {
		a.Flags = unix.IFA_F_NODAD
	}
	if err := netlink.AddrAdd(link, a); err != nil {
		t.Fatalf("%s: %v", cidr, err)
	}
}

func TestMove(t *testing.T) {
	target := namespaces(t)
	there, err := netlink.NewHandleAt(netns.NsHandle(target.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	// A device with the host's name of what is moved, which must not be in the way.
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "up0"
	if err := there.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "other"}); err != nil {
		t.Skipf("no veth device: %v", err)
	}

	link := device(t, "up0")
	address(t, link, "10.1.2.3/24", unix.RT_SCOPE_UNIVERSE, 0)
	address(t, link, "fd00::5/64", unix.RT_SCOPE_UNIVERSE, 0)
	address(t, link, "10.9.9.9/32", unix.RT_SCOPE_LINK, 0)
	address(t, link, "10.8.8.8/32", unix.RT_SCOPE_UNIVERSE, 100) // not permanent

	if err := Move("up0", "net%d", int(target.Fd())); err != nil {
		t.Fatal(err)
	}
	if _, err := netlink.LinkByName("up0"); err == nil {
		t.Error("the device is still here")
	}
	moved, err := there.LinkByName("net0")
	if err != nil {
		t.Fatal(err)
	}
	if moved.Attrs().Flags&net.FlagUp == 0 || moved.Attrs().MTU != 1400 {
		t.Errorf("%+v", moved.Attrs())
	}
	addresses, err := there.AddrList(moved, netlink.FAMILY_ALL)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range addresses {
		if a.Scope == unix.RT_SCOPE_UNIVERSE {
			got = append(got, a.IPNet.String())
		}
	}
	if s := strings.Join(got, " "); s != "10.1.2.3/24 fd00::5/64" {
		t.Errorf("addresses: %s", s)
	}
}

func TestMoveRefuses(t *testing.T) {
	target := int(namespaces(t).Fd())
	if err := Move("nope0", "x", target); !errors.Is(err, unix.ENODEV) {
		t.Errorf("missing: %v", err)
	}
	if err := Move("lo", "x", target); !errors.Is(err, unix.EINVAL) {
		t.Errorf("lo: %v", err)
	}
	device(t, "up0")
	if err := Move("up0", "lo", target); !errors.Is(err, unix.EEXIST) {
		t.Errorf("a name in use: %v", err)
	}
	if _, err := netlink.LinkByName("up0"); err != nil {
		t.Errorf("it was moved nevertheless: %v", err)
	}
}

func TestPickName(t *testing.T) {
	used := map[string]bool{"eth0": true, "eth1": true, "a0b": true}
	for inside, want := range map[string]string{"eth%d": "eth2", "x%d": "x0", "a%db": "a1b", "wan": "wan"} {
		if got, err := pickName(used, inside); err != nil || got != want {
			t.Errorf("%s: %s, %v", inside, got, err)
		}
	}
	if _, err := pickName(used, "eth0"); !errors.Is(err, unix.EEXIST) {
		t.Errorf("got %v", err)
	}
}
