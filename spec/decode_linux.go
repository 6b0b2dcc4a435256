package spec

import (
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The objects below linux (config-linux.md), except for its resources.

func decodeLinux(d *decoder, v *specs.Linux) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "uidMappings":
			list(d, &v.UIDMappings, decodeIDMapping)
		case "gidMappings":
			list(d, &v.GIDMappings, decodeIDMapping)
		case "sysctl":
			table(d, &v.Sysctl, str[string])
		case "resources":
			optional(d, &v.Resources, decodeResources)
		case "cgroupsPath":
			str(d, &v.CgroupsPath)
		case "namespaces":
			list(d, &v.Namespaces, decodeNamespace)
		case "devices":
			list(d, &v.Devices, decodeDevice)
		case "netDevices":
			table(d, &v.NetDevices, decodeNetDevice)
		case "seccomp":
			optional(d, &v.Seccomp, decodeSeccomp)
		case "rootfsPropagation":
			str(d, &v.RootfsPropagation)
		case "maskedPaths":
			strs(d, &v.MaskedPaths)
		case "readonlyPaths":
			strs(d, &v.ReadonlyPaths)
		case "mountLabel":
			str(d, &v.MountLabel)
		case "intelRdt":
			optional(d, &v.IntelRdt, decodeIntelRdt)
		case "memoryPolicy":
			optional(d, &v.MemoryPolicy, decodeMemoryPolicy)
		case "personality":
			optional(d, &v.Personality, decodePersonality)
		case "timeOffsets":
			table(d, &v.TimeOffsets, decodeTimeOffset)
		default:
			d.skip()
		}
	}
}

func decodeNamespace(d *decoder, v *specs.LinuxNamespace) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "type":
			str(d, &v.Type)
		case "path":
			str(d, &v.Path)
		default:
			d.skip()
		}
	}
}

func decodeTimeOffset(d *decoder, v *specs.LinuxTimeOffset) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "secs":
			integer(d, &v.Secs)
		case "nanosecs":
			integer(d, &v.Nanosecs)
		default:
			d.skip()
		}
	}
}

func decodeDevice(d *decoder, v *specs.LinuxDevice) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "path":
			str(d, &v.Path)
		case "type":
			str(d, &v.Type)
		case "major":
			integer(d, &v.Major)
		case "minor":
			integer(d, &v.Minor)
		case "fileMode":
			optional(d, &v.FileMode, integer[os.FileMode])
		case "uid":
			optional(d, &v.UID, integer[uint32])
		case "gid":
			optional(d, &v.GID, integer[uint32])
		default:
			d.skip()
		}
	}
}

func decodeNetDevice(d *decoder, v *specs.LinuxNetDevice) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "name":
			str(d, &v.Name)
		default:
			d.skip()
		}
	}
}

func decodeIntelRdt(d *decoder, v *specs.LinuxIntelRdt) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "closID":
			str(d, &v.ClosID)
		case "schemata":
			strs(d, &v.Schemata)
		case "l3CacheSchema":
			str(d, &v.L3CacheSchema)
		case "memBwSchema":
			str(d, &v.MemBwSchema)
		case "enableMonitoring":
			boolean(d, &v.EnableMonitoring)
		default:
			d.skip()
		}
	}
}

func decodeMemoryPolicy(d *decoder, v *specs.LinuxMemoryPolicy) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "mode":
			str(d, &v.Mode)
		case "nodes":
			str(d, &v.Nodes)
		case "flags":
			strs(d, &v.Flags)
		default:
			d.skip()
		}
	}
}

func decodePersonality(d *decoder, v *specs.LinuxPersonality) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "domain":
			str(d, &v.Domain)
		case "flags":
			strs(d, &v.Flags)
		default:
			d.skip()
		}
	}
}

func decodeSeccomp(d *decoder, v *specs.LinuxSeccomp) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "defaultAction":
			str(d, &v.DefaultAction)
		case "defaultErrnoRet":
			optional(d, &v.DefaultErrnoRet, integer[uint])
		case "architectures":
			strs(d, &v.Architectures)
		case "flags":
			strs(d, &v.Flags)
		case "listenerPath":
			str(d, &v.ListenerPath)
		case "listenerMetadata":
			str(d, &v.ListenerMetadata)
		case "syscalls":
			list(d, &v.Syscalls, decodeSyscall)
		default:
			d.skip()
		}
	}
}

func decodeSyscall(d *decoder, v *specs.LinuxSyscall) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "names":
			strs(d, &v.Names)
		case "action":
			str(d, &v.Action)
		case "errnoRet":
			optional(d, &v.ErrnoRet, integer[uint])
		case "args":
			list(d, &v.Args, decodeSeccompArg)
		default:
			d.skip()
		}
	}
}

func decodeSeccompArg(d *decoder, v *specs.LinuxSeccompArg) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "index":
			integer(d, &v.Index)
		case "value":
			integer(d, &v.Value)
		case "valueTwo":
			integer(d, &v.ValueTwo)
		case "op":
			str(d, &v.Op)
		default:
			d.skip()
		}
	}
}
