package spec

import "github.com/opencontainers/runtime-spec/specs-go"

// One function per object of config.json, in the order of the specification's documents. Every name
// that the switch does not know is skipped.

func decodeSpec(d *decoder, s *specs.Spec) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "ociVersion":
			str(d, &s.Version)
		case "process":
			optional(d, &s.Process, decodeProcess)
		case "root":
			optional(d, &s.Root, decodeRoot)
		case "hostname":
			str(d, &s.Hostname)
		case "domainname":
			str(d, &s.Domainname)
		case "mounts":
			list(d, &s.Mounts, decodeMount)
		case "hooks":
			optional(d, &s.Hooks, decodeHooks)
		case "annotations":
			table(d, &s.Annotations, str[string])
		case "linux":
			optional(d, &s.Linux, decodeLinux)
		default:
			d.skip()
		}
	}
}

func decodeRoot(d *decoder, r *specs.Root) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "path":
			str(d, &r.Path)
		case "readonly":
			boolean(d, &r.Readonly)
		default:
			d.skip()
		}
	}
}

func decodeMount(d *decoder, m *specs.Mount) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "destination":
			str(d, &m.Destination)
		case "type":
			str(d, &m.Type)
		case "source":
			str(d, &m.Source)
		case "options":
			strs(d, &m.Options)
		case "uidMappings":
			list(d, &m.UIDMappings, decodeIDMapping)
		case "gidMappings":
			list(d, &m.GIDMappings, decodeIDMapping)
		default:
			d.skip()
		}
	}
}

func decodeIDMapping(d *decoder, m *specs.LinuxIDMapping) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "containerID":
			integer(d, &m.ContainerID)
		case "hostID":
			integer(d, &m.HostID)
		case "size":
			integer(d, &m.Size)
		default:
			d.skip()
		}
	}
}

func decodeHooks(d *decoder, h *specs.Hooks) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "prestart":
			list(d, &h.Prestart, decodeHook) //nolint:staticcheck // deprecated, and still in use
		case "createRuntime":
			list(d, &h.CreateRuntime, decodeHook)
		case "createContainer":
			list(d, &h.CreateContainer, decodeHook)
		case "startContainer":
			list(d, &h.StartContainer, decodeHook)
		case "poststart":
			list(d, &h.Poststart, decodeHook)
		case "poststop":
			list(d, &h.Poststop, decodeHook)
		default:
			d.skip()
		}
	}
}

func decodeHook(d *decoder, h *specs.Hook) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "path":
			str(d, &h.Path)
		case "args":
			strs(d, &h.Args)
		case "env":
			strs(d, &h.Env)
		case "timeout":
			optional(d, &h.Timeout, integer[int])
		default:
			d.skip()
		}
	}
}
