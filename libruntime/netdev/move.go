package netdev

import (
	"errors"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// Move moves the device name of the caller's network namespace into the namespace target, an open file of
// /proc/PID/ns/net. There it is called inside, which may hold one %d for the lowest number that is free; it
// has the permanent global addresses that it had before, which the kernel drops on the way, and is up.
//
// Nothing has been moved when the error wraps ENODEV (there is no such device) or EEXIST (the name is in
// use). The races that remain: somebody may rename or remove the device meanwhile, which is an error, or add
// an address, which is lost.
func Move(name, inside string, target int) error {
	host, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return failed("open a netlink socket", err)
	}
	defer host.Close()
	there, err := netlink.NewHandleAt(netns.NsHandle(target), unix.NETLINK_ROUTE)
	if err != nil {
		return failed("open a netlink socket in the container's network namespace", err)
	}
	defer there.Close()

	link, err := host.LinkByName(name)
	if err != nil {
		return missing(name, err)
	}
	final, err := freeName(there, inside)
	if err != nil {
		return err
	}
	addresses, err := host.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return failed("list the addresses of "+name, err)
	}
	if err := send(link.Attrs().Index, final, target); err != nil {
		f := failed("move "+name, err)
		if errors.Is(err, unix.EINVAL) {
			f.Cause = "the kernel does not move devices that belong to their namespace, such as lo, bridges and tunnels"
		}
		return f
	}
	moved, err := there.LinkByName(final)
	if err != nil {
		return failed("find "+name+" again as "+final, err)
	}
	for i := range addresses {
		if err := restore(there, moved, &addresses[i]); err != nil {
			return failed("give "+final+" its address "+addresses[i].IPNet.String()+" back", err)
		}
	}
	if err := there.LinkSetUp(moved); err != nil {
		return failed("bring "+final+" up", err)
	}
	return nil
}

// send moves the device with this index and renames it, in one request: its own name may be in use there.
func send(index int, name string, target int) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	req.AddData(nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(target))))
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// restore adds a permanent global address to the device; others are left out.
func restore(there *netlink.Handle, link netlink.Link, a *netlink.Addr) error {
	if a.Flags&unix.IFA_F_PERMANENT == 0 || a.Scope != unix.RT_SCOPE_UNIVERSE {
		return nil
	}
	again := &netlink.Addr{
		IPNet: a.IPNet, Peer: a.Peer, Broadcast: a.Broadcast,
		// What was asked for when the address was set; the rest is the kernel's account of it.
		Flags: a.Flags & (unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_NODAD | unix.IFA_F_HOMEADDRESS | unix.IFA_F_MANAGETEMPADDR | unix.IFA_F_MCAUTOJOIN),
	}
	return there.AddrAdd(link, again)
}

// freeName returns the name that the device will have: inside, or with a %d in it the first that is free.
func freeName(there *netlink.Handle, inside string) (string, error) {
	links, err := there.LinkList()
	if err != nil {
		return "", failed("list the container's network devices", err)
	}
	used := make(map[string]bool, len(links))
	for _, l := range links {
		used[l.Attrs().Name] = true
	}
	return pickName(used, inside)
}

func pickName(used map[string]bool, inside string) (string, error) {
	before, after, template := strings.Cut(inside, "%d")
	if !template {
		if used[inside] {
			return "", &fault.Error{Step: "name the network device " + inside, Err: unix.EEXIST,
				Cause:  "the container's network namespace has a device of that name already",
				Remedy: "give another name, or one with %d for a number that is free"}
		}
		return inside, nil
	}
	for n := 0; ; n++ {
		if name := before + strconv.Itoa(n) + after; !used[name] {
			return name, nil
		}
	}
}

func missing(name string, err error) error {
	f := failed("find the network device "+name, err)
	var notFound netlink.LinkNotFoundError
	if errors.As(err, &notFound) {
		f.Err = unix.ENODEV
		f.Cause = "there is no such device in the network namespace that bailey runs in"
	}
	return f
}

// failed returns the error of a step. The caller adds the place in config.json.
func failed(step string, err error) *fault.Error {
	return &fault.Error{Step: step, Syscall: "netlink", Err: err}
}
