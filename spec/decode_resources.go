package spec

import "github.com/opencontainers/runtime-spec/specs-go"

// The objects below linux.resources (config-linux.md, "Control groups").

func decodeResources(d *decoder, v *specs.LinuxResources) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "devices":
			list(d, &v.Devices, decodeDeviceCgroup)
		case "memory":
			optional(d, &v.Memory, decodeMemory)
		case "cpu":
			optional(d, &v.CPU, decodeCPU)
		case "pids":
			optional(d, &v.Pids, decodePids)
		case "blockIO":
			optional(d, &v.BlockIO, decodeBlockIO)
		case "hugepageLimits":
			list(d, &v.HugepageLimits, decodeHugepageLimit)
		case "network":
			optional(d, &v.Network, decodeNetwork)
		case "rdma":
			table(d, &v.Rdma, decodeRdma)
		case "unified":
			table(d, &v.Unified, str[string])
		default:
			d.skip()
		}
	}
}

func decodeDeviceCgroup(d *decoder, v *specs.LinuxDeviceCgroup) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "allow":
			boolean(d, &v.Allow)
		case "type":
			str(d, &v.Type)
		case "major":
			optional(d, &v.Major, integer[int64])
		case "minor":
			optional(d, &v.Minor, integer[int64])
		case "access":
			str(d, &v.Access)
		default:
			d.skip()
		}
	}
}

func decodeMemory(d *decoder, v *specs.LinuxMemory) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "limit":
			optional(d, &v.Limit, integer[int64])
		case "reservation":
			optional(d, &v.Reservation, integer[int64])
		case "swap":
			optional(d, &v.Swap, integer[int64])
		case "kernel":
			optional(d, &v.Kernel, integer[int64]) //nolint:staticcheck // deprecated, and still in use
		case "kernelTCP":
			optional(d, &v.KernelTCP, integer[int64])
		case "swappiness":
			optional(d, &v.Swappiness, integer[uint64])
		case "disableOOMKiller":
			optional(d, &v.DisableOOMKiller, boolean)
		case "useHierarchy":
			optional(d, &v.UseHierarchy, boolean)
		case "checkBeforeUpdate":
			optional(d, &v.CheckBeforeUpdate, boolean)
		default:
			d.skip()
		}
	}
}

func decodeCPU(d *decoder, v *specs.LinuxCPU) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "shares":
			optional(d, &v.Shares, integer[uint64])
		case "quota":
			optional(d, &v.Quota, integer[int64])
		case "burst":
			optional(d, &v.Burst, integer[uint64])
		case "period":
			optional(d, &v.Period, integer[uint64])
		case "realtimeRuntime":
			optional(d, &v.RealtimeRuntime, integer[int64])
		case "realtimePeriod":
			optional(d, &v.RealtimePeriod, integer[uint64])
		case "cpus":
			str(d, &v.Cpus)
		case "mems":
			str(d, &v.Mems)
		case "idle":
			optional(d, &v.Idle, integer[int64])
		default:
			d.skip()
		}
	}
}

func decodePids(d *decoder, v *specs.LinuxPids) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "limit":
			optional(d, &v.Limit, integer[int64])
		default:
			d.skip()
		}
	}
}

func decodeBlockIO(d *decoder, v *specs.LinuxBlockIO) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "weight":
			optional(d, &v.Weight, integer[uint16])
		case "leafWeight":
			optional(d, &v.LeafWeight, integer[uint16])
		case "weightDevice":
			list(d, &v.WeightDevice, decodeWeightDevice)
		case "throttleReadBpsDevice":
			list(d, &v.ThrottleReadBpsDevice, decodeThrottleDevice)
		case "throttleWriteBpsDevice":
			list(d, &v.ThrottleWriteBpsDevice, decodeThrottleDevice)
		case "throttleReadIOPSDevice":
			list(d, &v.ThrottleReadIOPSDevice, decodeThrottleDevice)
		case "throttleWriteIOPSDevice":
			list(d, &v.ThrottleWriteIOPSDevice, decodeThrottleDevice)
		default:
			d.skip()
		}
	}
}

func decodeWeightDevice(d *decoder, v *specs.LinuxWeightDevice) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "major":
			integer(d, &v.Major)
		case "minor":
			integer(d, &v.Minor)
		case "weight":
			optional(d, &v.Weight, integer[uint16])
		case "leafWeight":
			optional(d, &v.LeafWeight, integer[uint16])
		default:
			d.skip()
		}
	}
}

func decodeThrottleDevice(d *decoder, v *specs.LinuxThrottleDevice) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "major":
			integer(d, &v.Major)
		case "minor":
			integer(d, &v.Minor)
		case "rate":
			integer(d, &v.Rate)
		default:
			d.skip()
		}
	}
}

func decodeHugepageLimit(d *decoder, v *specs.LinuxHugepageLimit) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "pageSize":
			str(d, &v.Pagesize)
		case "limit":
			integer(d, &v.Limit)
		default:
			d.skip()
		}
	}
}

func decodeNetwork(d *decoder, v *specs.LinuxNetwork) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "classID":
			optional(d, &v.ClassID, integer[uint32])
		case "priorities":
			list(d, &v.Priorities, decodeInterfacePriority)
		default:
			d.skip()
		}
	}
}

func decodeInterfacePriority(d *decoder, v *specs.LinuxInterfacePriority) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "name":
			str(d, &v.Name)
		case "priority":
			integer(d, &v.Priority)
		default:
			d.skip()
		}
	}
}

func decodeRdma(d *decoder, v *specs.LinuxRdma) {
	for ok := d.open('{'); ok && d.more(); {
		switch d.key() {
		case "hcaHandles":
			optional(d, &v.HcaHandles, integer[uint32])
		case "hcaObjects":
			optional(d, &v.HcaObjects, integer[uint32])
		default:
			d.skip()
		}
	}
}
