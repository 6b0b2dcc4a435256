package wire

import (
	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/libruntime/cgroup"
)

// Metrics returns a container's figures in the form of containerd/cgroups for the machine's cgroups: on hybrid ones, which have
// their controllers on v1, that of v1.
func Metrics(s *libruntime.Stats) Stats {
	if cgroup.Detect() == cgroup.V2 {
		return Stats{TypeURL: "io.containerd.cgroups.v2.Metrics", Value: metricsV2(s)}
	}
	return Stats{TypeURL: "io.containerd.cgroups.v1.Metrics", Value: metricsV1(s)}
}

// network returns a NetworkStat, which is the same in both.
func network(n *libruntime.NetworkInterface) message {
	var m message
	m.text(1, n.Name)
	for i, v := range []uint64{n.RxBytes, n.RxPackets, n.RxErrors, n.RxDropped, n.TxBytes, n.TxPackets, n.TxErrors, n.TxDropped} {
		m.number(protoNumber(i+2), v)
	}
	return m
}

// rdma returns an RdmaStat.
func rdma(devices map[string]cgroup.RDMAStat) message {
	var m message
	entry := func(field int, device string, handles, objects uint64) {
		var e message
		e.text(1, device)
		e.number(2, handles)
		e.number(3, objects)
		m.inner(protoNumber(field), e)
	}
	for device, d := range devices {
		entry(1, device, d.Handles, d.Objects)
	}
	for device, d := range devices {
		if d.HandlesLimit != nil && d.ObjectsLimit != nil {
			entry(2, device, *d.HandlesLimit, *d.ObjectsLimit)
		}
	}
	return m
}

// numbered adds figures whose fields follow each other, from the first on, by their names in a map.
func (m *message) numbered(first int, raw map[string]uint64, names ...string) {
	for i, name := range names {
		m.number(protoNumber(first+i), raw[name])
	}
}
