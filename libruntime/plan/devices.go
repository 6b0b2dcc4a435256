package plan

import (
	"path"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// defaultDevices are those of config-linux.md, "Default Devices", for all to read and write.
var defaultDevices = [...]MakeDevice{
	{Path: "/dev/null", Device: Device{'c', 1, 3}, Mode: 0o666},
	{Path: "/dev/zero", Device: Device{'c', 1, 5}, Mode: 0o666},
	{Path: "/dev/full", Device: Device{'c', 1, 7}, Mode: 0o666},
	{Path: "/dev/random", Device: Device{'c', 1, 8}, Mode: 0o666},
	{Path: "/dev/urandom", Device: Device{'c', 1, 9}, Mode: 0o666},
	{Path: "/dev/tty", Device: Device{'c', 5, 0}, Mode: 0o666},
}

// deviceLinks are the symbolic links of runtime-linux.md, "Dev symbolic links", /dev/ptmx (config-linux.md)
// and /dev/core, which points to nothing where the kernel is built without /proc/kcore.
var deviceLinks = [...]MakeSymlink{
	{Path: "/dev/ptmx", Target: "pts/ptmx"},
	{Path: "/dev/fd", Target: "/proc/self/fd"},
	{Path: "/dev/stdin", Target: "/proc/self/fd/0"},
	{Path: "/dev/stdout", Target: "/proc/self/fd/1"},
	{Path: "/dev/stderr", Target: "/proc/self/fd/2"},
	{Path: "/dev/core", Target: "/proc/kcore"},
}

// devices adds the default devices, those of the config and the usual links. None is made where a bind
// mount covers /dev: that directory is somebody else's, often the host's own.
func (c *compiler) devices() error {
	for i := range c.spec.Mounts {
		if m := &c.spec.Mounts[i]; IsBind(m) && path.Clean("/"+m.Destination) == "/dev" {
			return nil
		}
	}
	configured := c.spec.Linux.Devices
	for _, d := range defaultDevices {
		if !hasDevice(configured, d.Path) {
			if err := c.device(d, Slot("device"+d.Path), ""); err != nil {
				return err
			}
		}
	}
	for i := range configured {
		if err := c.device(deviceOf(&configured[i]), Slot("device/"+strconv.Itoa(i)), at("/linux/devices", i)); err != nil {
			return err
		}
	}
	for _, l := range deviceLinks {
		c.add(l, "")
	}
	return nil
}

func hasDevice(devices []specs.LinuxDevice, name string) bool {
	for i := range devices {
		if path.Clean(devices[i].Path) == name {
			return true
		}
	}
	return false
}

// deviceOf returns d as an action; the mode defaults to 0666, the owner to root. Bits of the file's type in
// the mode, which some engines copy from the host's node, are left out.
func deviceOf(d *specs.LinuxDevice) MakeDevice {
	dev := MakeDevice{Path: path.Clean(d.Path), Mode: 0o666}
	dev.Device = Device{Type: d.Type[0]}
	if d.Type != "p" {
		dev.Device.Major, dev.Device.Minor = uint32(d.Major), uint32(d.Minor)
	}
	if d.FileMode != nil {
		dev.Mode = uint32(*d.FileMode) & 0o7777
	}
	if d.UID != nil {
		dev.UID = *d.UID
	}
	if d.GID != nil {
		dev.GID = *d.GID
	}
	return dev
}

// device adds one device node. Inside a user namespace mknod(2) is refused for all but FIFOs, so the host's
// node of that path is mounted instead; mode and owner are the host's then. A configuration that means no user namespace
// means its modes and owners, though, and may name nodes that the host has not: see ownDevice.
func (c *compiler) device(d MakeDevice, slot Slot, origin string) error {
	if d.Device.Type == 'p' || !c.ns.has(UserNS) && !c.o.InUserNamespace {
		c.add(d, origin)
		return nil
	}
	if made, err := c.ownDevice(d, slot, origin); made || err != nil {
		return err
	}
	device := d.Device
	c.open(slot, OpenTree{Slot: slot, Path: d.Path, NoFollow: true, Device: &device}, origin)
	c.add(Attach{Slot: slot, Path: d.Path, Create: CreateFile}, origin)
	return nil
}

// terminal adds the container's terminal.
func (c *compiler) terminal() {
	if !c.process.Terminal {
		return
	}
	c.add(c.console(c.devpts), c.field("/terminal"))
	c.add(AttachConsole{Path: "/dev/console"}, c.field("/terminal"))
	c.add(SendConsole{}, c.field("/terminal"))
}

// console returns the action that makes the terminal.
func (c *compiler) console(devpts Slot) OpenConsole {
	o := OpenConsole{Devpts: devpts, UID: c.process.User.UID}
	if size := c.process.ConsoleSize; size != nil {
		o.Width, o.Height = uint16(size.Width), uint16(size.Height)
	}
	return o
}
