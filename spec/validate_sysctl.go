package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// ipcSysctls are the files of /proc/sys/kernel that the kernel keeps once per ipc namespace
// (ipc/ipc_sysctl.c).
var ipcSysctls = []string{
	"auto_msgmni", "msg_next_id", "msgmax", "msgmnb", "msgmni", "sem", "sem_next_id",
	"shm_next_id", "shm_rmid_forced", "shmall", "shmmax", "shmmni",
}

// SysctlPath returns the path below /proc/sys of the parameter key, in the way of sysctl(8): the first
// "." or "/" in key is what separates its parts, and the other of the two, later on, stands for the
// separator's character in a name ("net.ipv4.conf.eth0/1.mtu" and "net/ipv4/conf/eth0.1/mtu" are the same).
// It returns "" where the result would not be a plain path below /proc/sys.
func SysctlPath(key string) string {
	path := key
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '.' {
		path = strings.Map(func(r rune) rune {
			switch r {
			case '.':
				return '/'
			case '/':
				return '.'
			}
			return r
		}, key)
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "\n\x00") {
			return ""
		}
	}
	return path
}

// validateSysctls lets through the parameters that belong to a namespace which the container has. All
// others are the host's. Whether a namespace given by path is the host's own is for the caller to find out.
func validateSysctls(s *specs.Spec) error {
	for key, value := range s.Linux.Sysctl {
		origin := func() string { return at("linux", "sysctl", key) }
		if err := noNUL(value, origin); err != nil {
			return err
		}
		path := SysctlPath(key)
		if path == "" {
			return bad(origin(), "sysctl %q is not the name of a kernel parameter", key)
		}
		need, err := sysctlNamespace(s, path, value)
		if err != "" {
			f := bad(origin(), "sysctl %q %s", key, err)
			if err != notNamespaced {
				return f
			}
			return because(f,
				"the kernel has it once, for all namespaces; only net.*, fs.mqueue.*, user.*, kernel.domainname and those of System V "+
					"IPC (kernel.shm*, msg*, sem*) are a namespace's own",
				"remove it from linux.sysctl, or set it on the host")
		}
		ns := namespace(s, need)
		if ns == nil {
			return because(bad(origin(), "sysctl %q needs a %s namespace, it would change the host", key, need),
				fmt.Sprintf("the container shares the caller's %s namespace: linux.namespaces has none", need),
				fmt.Sprintf(`add {"type": %q} to linux.namespaces, or remove the sysctl`, string(need)))
		}
		if need == specs.UserNamespace && ns.Path != "" {
			return bad(origin(), "sysctl %q needs a user namespace of its own, not the existing one at %q", key, ns.Path)
		}
	}
	return nil
}

const notNamespaced = "is not allowed, it belongs to no namespace and would change the host"

// sysctlNamespace returns the type of namespace that the parameter at path belongs to, or why it is refused.
func sysctlNamespace(s *specs.Spec, path, value string) (t specs.LinuxNamespaceType, refused string) {
	area, name, _ := strings.Cut(path, "/")
	switch {
	case area == "net" && name != "":
		return specs.NetworkNamespace, ""
	case area == "user" && name != "":
		return specs.UserNamespace, ""
	case strings.HasPrefix(path, "fs/mqueue/"):
		return specs.IPCNamespace, ""
	case area == "kernel" && slices.Contains(ipcSysctls, name):
		return specs.IPCNamespace, ""
	case path == "kernel/hostname":
		return "", "is not allowed, the field hostname sets it"
	case path == "kernel/domainname":
		if s.Domainname != "" && s.Domainname != value {
			return "", "contradicts the field domainname"
		}
		return specs.UTSNamespace, ""
	}
	return "", notNamespaced
}
