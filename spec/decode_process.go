package spec

import "github.com/opencontainers/runtime-spec/specs-go"

// The objects below process (config.md, "Process").

func decodeProcess(d *decoder, v *specs.Process) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "terminal":
			boolean(d, &v.Terminal)
		case "consoleSize":
			optional(d, &v.ConsoleSize, decodeBox)
		case "user":
			decodeUser(d, &v.User)
		case "args":
			strs(d, &v.Args)
		case "env":
			strs(d, &v.Env)
		case "cwd":
			str(d, &v.Cwd)
		case "capabilities":
			optional(d, &v.Capabilities, decodeCapabilities)
		case "rlimits":
			list(d, &v.Rlimits, decodeRlimit)
		case "noNewPrivileges":
			boolean(d, &v.NoNewPrivileges)
		case "apparmorProfile":
			str(d, &v.ApparmorProfile)
		case "oomScoreAdj":
			optional(d, &v.OOMScoreAdj, integer[int])
		case "scheduler":
			optional(d, &v.Scheduler, decodeScheduler)
		case "selinuxLabel":
			str(d, &v.SelinuxLabel)
		case "ioPriority":
			optional(d, &v.IOPriority, decodeIOPriority)
		case "execCPUAffinity":
			optional(d, &v.ExecCPUAffinity, decodeCPUAffinity)
		default:
			d.skip()
		}
	}
}

func decodeUser(d *decoder, v *specs.User) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "uid":
			integer(d, &v.UID)
		case "gid":
			integer(d, &v.GID)
		case "umask":
			optional(d, &v.Umask, integer[uint32])
		case "additionalGids":
			list(d, &v.AdditionalGids, integer[uint32])
		default:
			d.skip()
		}
	}
}

func decodeBox(d *decoder, v *specs.Box) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "height":
			integer(d, &v.Height)
		case "width":
			integer(d, &v.Width)
		default:
			d.skip()
		}
	}
}

func decodeCapabilities(d *decoder, v *specs.LinuxCapabilities) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "bounding":
			strs(d, &v.Bounding)
		case "effective":
			strs(d, &v.Effective)
		case "inheritable":
			strs(d, &v.Inheritable)
		case "permitted":
			strs(d, &v.Permitted)
		case "ambient":
			strs(d, &v.Ambient)
		default:
			d.skip()
		}
	}
}

func decodeRlimit(d *decoder, v *specs.POSIXRlimit) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "type":
			str(d, &v.Type)
		case "hard":
			integer(d, &v.Hard)
		case "soft":
			integer(d, &v.Soft)
		default:
			d.skip()
		}
	}
}

func decodeScheduler(d *decoder, v *specs.Scheduler) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "policy":
			str(d, &v.Policy)
		case "nice":
			integer(d, &v.Nice)
		case "priority":
			integer(d, &v.Priority)
		case "flags":
			strs(d, &v.Flags)
		case "runtime":
			integer(d, &v.Runtime)
		case "deadline":
			integer(d, &v.Deadline)
		case "period":
			integer(d, &v.Period)
		default:
			d.skip()
		}
	}
}

func decodeIOPriority(d *decoder, v *specs.LinuxIOPriority) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "class":
			str(d, &v.Class)
		case "priority":
			integer(d, &v.Priority)
		default:
			d.skip()
		}
	}
}

func decodeCPUAffinity(d *decoder, v *specs.CPUAffinity) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "initial":
			str(d, &v.Initial)
		case "final":
			str(d, &v.Final)
		default:
			d.skip()
		}
	}
}
