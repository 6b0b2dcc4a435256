package cgroup

import (
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// blockIO translates linux.resources.blockIO. Weights are 10 to 1000, 0 for "not set"; throttle rates
// are bytes or operations per second, 0 for "no limit".
func (b *builder) blockIO(io *specs.LinuxBlockIO) {
	const at = "/blockIO"
	set := func(field, file, value, alt, altValue string) {
		controller := "blkio"
		if b.v2 {
			controller = "io"
		}
		b.add(setting{controller: controller, file: file, value: value, origin: at + field, alt: alt, altValue: altValue})
	}
	weight := func(field, device string, w uint16) {
		if w < 10 || w > 1000 {
			b.fail(at+field, num(w), "a weight is 10 to 1000")
			return
		}
		bfq, generic, suffix := device+num(w), device+num(w), ""
		if b.v2 {
			// io.weight is 1 to 10000: stretched in a straight line, as runc and crun do.
			generic = device + num(1+(uint64(w)-10)*9999/990)
			set(field, "io.bfq.weight", bfq, "io.weight", generic)
			return
		}
		if device != "" {
			suffix = "_device"
		}
		set(field, "blkio.weight"+suffix, generic, "blkio.bfq.weight"+suffix, bfq)
	}
	if io.Weight != nil && *io.Weight != 0 {
		weight("/weight", "", *io.Weight)
	}
	if io.LeafWeight != nil && *io.LeafWeight != 0 && !b.noV2(at+"/leafWeight", "leaf weight") {
		set("/leafWeight", "blkio.leaf_weight", num(*io.LeafWeight), "", "")
	}
	for i, d := range io.WeightDevice {
		field, device := "/weightDevice/"+strconv.Itoa(i), devNum(d.Major, d.Minor)+" "
		if d.Weight != nil && *d.Weight != 0 {
			weight(field+"/weight", device, *d.Weight)
		}
		if d.LeafWeight != nil && *d.LeafWeight != 0 && !b.noV2(at+field+"/leafWeight", "leaf weight") {
			set(field+"/leafWeight", "blkio.leaf_weight_device", device+num(*d.LeafWeight), "", "")
		}
	}
	throttle := func(field, v1, v2 string, devices []specs.LinuxThrottleDevice) {
		for i, d := range devices {
			field, device := field+"/"+strconv.Itoa(i), devNum(d.Major, d.Minor)+" "
			switch {
			case !b.v2:
				set(field, v1, device+num(d.Rate), "", "")
			case d.Rate == 0:
				set(field, "io.max", device+v2+"=max", "", "")
			default:
				set(field, "io.max", device+v2+"="+num(d.Rate), "", "")
			}
		}
	}
	throttle("/throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", io.ThrottleReadBpsDevice)
	throttle("/throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", io.ThrottleWriteBpsDevice)
	throttle("/throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", io.ThrottleReadIOPSDevice)
	throttle("/throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops", io.ThrottleWriteIOPSDevice)
}

func devNum(major, minor int64) string { return num(major) + ":" + num(minor) }

// rdma translates linux.resources.rdma: limits by device name.
func (b *builder) rdma(devices map[string]specs.LinuxRdma) {
	for _, name := range sortedKeys(devices) {
		at := "/rdma/" + pointerToken(name)
		if name == "" || strings.ContainsAny(name, " \t\n") {
			b.fail(at, name, "not the name of a device")
			return
		}
		value := name
		if h := devices[name].HcaHandles; h != nil {
			value += " hca_handle=" + num(*h)
		}
		if o := devices[name].HcaObjects; o != nil {
			value += " hca_object=" + num(*o)
		}
		if value != name {
			b.add(setting{controller: "rdma", file: "rdma.max", value: value, origin: at})
		}
	}
}

// unified translates linux.resources.unified: control files of cgroup v2 by name. A value of several
// lines is written line by line.
func (b *builder) unified(files map[string]string) {
	for _, name := range sortedKeys(files) {
		at := "/unified/" + pointerToken(name)
		controller, _, ok := strings.Cut(name, ".")
		switch {
		case !b.v2:
			b.fail("/unified", name, "the container's controllers are on cgroup v1, which has no unified hierarchy")
			return
		case !ok || controller == "" || strings.ContainsAny(name, "/\x00"):
			b.fail(at, name, "a name is CONTROLLER.PARAMETER, without a slash")
			return
		case controller == "cgroup" && !strings.HasPrefix(name, "cgroup.max."):
			// Others move processes in, kill, freeze or delegate, and are the runtime's: a process that
			// config.json moves in would be killed with the container.
			b.fail(at, name, "of the files cgroup.*, only those that begin with cgroup.max. are limits")
			return
		}
		for line := range strings.Lines(files[name]) {
			b.add(setting{controller: controller, file: name, value: line, origin: at})
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// pointerToken escapes a name for use in a JSON pointer (RFC 6901).
func pointerToken(s string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(s)
}
