package hostile

import (
	"strings"
	"testing"
)

var mounts = []refusal{
	{"no destination", mountsWith(`"type":"tmpfs"`), "/mounts/0/destination", ""},
	{"no type", mountsWith(`"destination":"/x"`), "/mounts/0/type", ""},
	{"destination with NUL", mountsWith(`"destination":"/x\u0000y","type":"tmpfs"`), "/mounts/0/destination", "NUL"},
	{"destination too long", mountsWith(`"destination":"` + strings.Repeat("/x", 3000) + `","type":"tmpfs"`), "/mounts/0", "ENAMETOOLONG"},
	{"name too long", mountsWith(`"destination":"/` + strings.Repeat("x", 256) + `","type":"tmpfs"`), "/mounts/0", "ENAMETOOLONG"},
	{"destination a loop of links", mountsWith(`"destination":"/loop/x","type":"tmpfs"`), "/mounts/0", "ELOOP"},
	{"destination below a file", mountsWith(`"destination":"/etc/passwd/x","type":"tmpfs"`), "/mounts/0", "ENOTDIR"},
	{"directory on a file", mountsWith(`"destination":"/etc/passwd","type":"bind","source":"@DIR/outside","options":["bind"]`), "/mounts/0", "EINVAL"},
	{"file on a directory", mountsWith(`"destination":"/etc","type":"bind","source":"@DIR/outside/keep","options":["bind"]`), "/mounts/0", ""},
	{"filesystem on a file", mountsWith(`"destination":"/etc/passwd","type":"tmpfs"`), "/mounts/0", "EINVAL"},
	{"filesystem unknown", mountsWith(`"destination":"/x","type":"nosuchfs"`), "/mounts/0", "ENODEV"},
	{"filesystem with a path", mountsWith(`"destination":"/x","type":"../ext4"`), "/mounts/0", ""},
	{"option unknown to the filesystem", mountsWith(`"destination":"/x","type":"tmpfs","options":["frobnicate"]`), "/mounts/0", "frobnicate"},
	{"value unknown to the filesystem", mountsWith(`"destination":"/x","type":"tmpfs","options":["size=lots"]`), "/mounts/0", "size"},
	{"value too long", mountsWith(`"destination":"/x","type":"tmpfs","options":["mpol=` + strings.Repeat("x", 300) + `"]`), "/mounts/0", ""},
	{"option with NUL", mountsWith(`"destination":"/x","type":"tmpfs","options":["size=1\u0000"]`), "/mounts/0/options/0", "NUL"},
	{"overlay without layers", mountsWith(`"destination":"/x","type":"overlay"`), "/mounts/0", ""},
	{"overlay of what is not there", mountsWith(`"destination":"/x","type":"overlay","options":["lowerdir=@DIR/none"]`), "/mounts/0", ""},
	{"disk that is none", mountsWith(`"destination":"/x","type":"ext4","source":"@DIR/outside/keep"`), "/mounts/0", ""},
	{"bind without a source", mountsWith(`"destination":"/x","type":"bind"`), "/mounts/0/source", ""},
	{"source missing", mountsWith(`"destination":"/x","type":"bind","source":"@DIR/none","options":["rbind"]`), "/mounts/0", "ENOENT"},
	{"source below a file", mountsWith(`"destination":"/x","type":"bind","source":"@DIR/outside/keep/x","options":["rbind"]`), "/mounts/0", "ENOTDIR"},
	{"proc elsewhere", mountsWith(`"destination":"/x","type":"proc","source":"proc"`), "/mounts/0", ""},
	{"sysfs elsewhere", mountsWith(`"destination":"/x","type":"sysfs","source":"sysfs"`), "/mounts/0", ""},
	{"tmpfs as proc", mountsWith(`"destination":"/proc","type":"tmpfs"`), "/mounts/0", ""},
	{"bind as proc", mountsWith(`"destination":"/proc","type":"bind","source":"@DIR/outside","options":["bind"]`), "/mounts/0", ""},
	{"inside proc", mountsWith(`"destination":"/proc/sys/../self/attr","type":"tmpfs"`), "/mounts/0", ""},
	{"bind inside proc", mountsWith(`"destination":"//proc//self/attr/","type":"bind","source":"@DIR/outside","options":["bind"]`), "/mounts/0", ""},
	{"idmap without maps", mountsWith(`"destination":"/x","type":"bind","source":"/tmp","options":["bind","idmap"]`), "/mounts/0/options/1", ""},
	{"tmpcopyup of a bind mount", mountsWith(`"destination":"/x","type":"bind","source":"@DIR/outside","options":["bind","tmpcopyup"]`), "/mounts/0", ""},
	{"remount of nothing", mountsWith(`"destination":"/none","type":"bind","options":["bind","remount","ro"]`), "/mounts/0", "ENOENT"},
	{"propagation", linuxWith(`"rootfsPropagation":"public"`), "/linux/rootfsPropagation", ""},
	{"masked path relative", linuxWith(`"maskedPaths":["proc/kcore"]`), "/linux/maskedPaths/0", ""},
	{"masked path a loop of links", linuxWith(`"maskedPaths":["/loop"]`), "/linux/maskedPaths/0", "ELOOP"},
	{"read-only path too long", linuxWith(`"readonlyPaths":["` + strings.Repeat("/x", 3000) + `"]`), "/linux/readonlyPaths/0", "ENAMETOOLONG"},
	{"masked root", linuxWith(`"maskedPaths":["/tmp/.."]`), "/linux/maskedPaths/0", ""},
	{"read-only root", linuxWith(`"readonlyPaths":["//"]`), "/linux/readonlyPaths/0", ""},
}

var devices = []refusal{
	{"relative", linuxWith(`"devices":[{"path":"dev/x","type":"c","major":1,"minor":3}]`), "/linux/devices/0/path", ""},
	{"type", linuxWith(`"devices":[{"path":"/dev/x","type":"d","major":1,"minor":3}]`), "/linux/devices/0/type", ""},
	{"negative", linuxWith(`"devices":[{"path":"/dev/x","type":"c","major":-1,"minor":3}]`), "/linux/devices/0/major", ""},
	{"minor too large", linuxWith(`"devices":[{"path":"/dev/x","type":"c","major":1,"minor":1048576}]`), "/linux/devices/0/minor", ""},
	{"no path", linuxWith(`"devices":[{"type":"c","major":1,"minor":3}]`), "/linux/devices/0/path", ""},
	{"the root", linuxWith(`"devices":[{"path":"/","type":"c","major":1,"minor":3}]`), "/linux/devices/0", ""},
	{"on a directory", linuxWith(`"devices":[{"path":"/etc","type":"c","major":1,"minor":3}]`), "/linux/devices/0", ""},
	{"on a file", linuxWith(`"devices":[{"path":"/etc/passwd","type":"c","major":1,"minor":3}]`), "/linux/devices/0", ""},
	{"on another device", linuxWith(`"devices":[{"path":"/dev/x","type":"c","major":1,"minor":3},{"path":"/dev/x","type":"c","major":1,"minor":5}]`), "/linux/devices/1", ""},
	{"below a file", linuxWith(`"devices":[{"path":"/etc/passwd/x","type":"c","major":1,"minor":3}]`), "/linux/devices/0", "ENOTDIR"},
	{"in procfs", linuxWith(`"devices":[{"path":"/proc/x","type":"c","major":1,"minor":3}]`), "/linux/devices/0", ""},
	{"link to outside", linuxWith(`"devices":[{"path":"/absolute","type":"c","major":1,"minor":3}]`), "/linux/devices/0", ""},
	{"name too long", linuxWith(`"devices":[{"path":"/dev/` + strings.Repeat("x", 256) + `","type":"c","major":1,"minor":3}]`), "/linux/devices/0", "ENAMETOOLONG"},
	{"of another number than the host's", `{"mounts":[],"linux":{"devices":[{"path":"/dev/zero","type":"c","major":1,"minor":3}],"maskedPaths":[],"readonlyPaths":[],"namespaces":[{"type":"mount"},{"type":"pid"},{"type":"user"},{"type":"uts"}],` +
		`"uidMappings":[{"containerID":0,"hostID":200000,"size":65536}],"gidMappings":[{"containerID":0,"hostID":200000,"size":65536}]}}`, "/linux/devices/0", ""},
}

func TestMounts(t *testing.T)  { refuseAll(t, mounts) }
func TestDevices(t *testing.T) { refuseAll(t, devices) }
