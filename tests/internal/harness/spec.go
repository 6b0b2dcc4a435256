package harness

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/spec"
)

// Change changes a configuration.
type Change func(*specs.Spec)

// UserBase is the ID of the host that root of a container with its own user namespace has.
const UserBase = 200000

// basicSpec is the generated configuration with a writable root, no terminal and a process that just waits.
func basicSpec(c *Container) *specs.Spec {
	s := spec.Example()
	s.Version = "1.0.2" // engines of today say more; nothing here needs it
	s.Root.Readonly = false
	s.Process.Terminal = false
	s.Process.Args = []string{"sleep", "100000"}
	s.Process.Env = append(s.Process.Env, idVariable+"="+c.Env.ID)
	s.Linux.CgroupsPath = c.Cgroup
	if c.Env.Systemd {
		s.Linux.CgroupsPath = slice + "::" + c.ID
	}
	return s
}

// Args sets the command.
func Args(args ...string) Change {
	return func(s *specs.Spec) { s.Process.Args = args }
}

// Sh sets the command to a shell script.
func Sh(script string) Change { return Args("sh", "-c", script) }

// Terminal asks for a terminal.
func Terminal(s *specs.Spec) { s.Process.Terminal = true }

// UserNamespace gives the container a user namespace with 65536 IDs.
func UserNamespace(s *specs.Spec) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: UserBase, Size: 65536}}
	s.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: UserBase, Size: 65536}}
}

// Without removes a namespace, which makes the container share the caller's.
func Without(kinds ...specs.LinuxNamespaceType) Change {
	return func(s *specs.Spec) {
		s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(ns specs.LinuxNamespace) bool {
			return slices.Contains(kinds, ns.Type)
		})
	}
}

// Joined has a namespace joined by path instead of made.
func Joined(kind specs.LinuxNamespaceType, path string) Change {
	return func(s *specs.Spec) {
		Without(kind)(s)
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: kind, Path: path})
	}
}

// Mounted adds a mount.
func Mounted(destination, kind, source string, options ...string) Change {
	return func(s *specs.Spec) {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: destination, Type: kind, Source: source, Options: options})
	}
}

// Capabilities gives the process capabilities in all sets but the inheritable and ambient ones.
func Capabilities(names ...string) Change {
	return func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: names, Permitted: names, Effective: names}
	}
}

// All applies several changes.
func All(changes ...Change) Change {
	return func(s *specs.Spec) {
		for _, change := range changes {
			change(s)
		}
	}
}
