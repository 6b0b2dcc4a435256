package libruntime

import (
	"os"
	"strconv"
	"strings"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/cgroup"
)

// Stats are a container's figures in the form of `runc events`.
type Stats struct {
	*cgroup.Stats
	IntelRdt          struct{}           `json:"intel_rdt"`
	NetworkInterfaces []NetworkInterface `json:"network_interfaces"`
}

// NetworkInterface are the counters of one network device of the container's, as the container sees it. The
// names are those of runc, which has no others for the JSON form.
type NetworkInterface struct {
	Name                                    string
	RxBytes, RxPackets, RxErrors, RxDropped uint64
	TxBytes, TxPackets, TxErrors, TxDropped uint64
}

// Stats returns the figures of a container that has not stopped.
func (rt *Runtime) Stats(id string) (*Stats, error) {
	c, cg, err := rt.findCgroup(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.stats(cg)
}

// FinalStats returns the figures of a container that has stopped and is not deleted yet: those of its cgroups.
func (rt *Runtime) FinalStats(id string) (*Stats, error) {
	c, cg, err := rt.findCgroup(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	s, err := cg.Stats()
	if err != nil {
		return nil, err
	}
	return &Stats{Stats: s}, nil
}

// stats reads the figures; the error for a container that has stopped wraps ErrNotRunning.
func (c *container) stats(cg *cgroup.Manager) (*Stats, error) {
	s, err := cg.Stats()
	var devices []NetworkInterface
	if err == nil {
		devices, err = c.process().networkInterfaces()
	}
	// The cgroups of one that has ended can be gone, and its process ID another's.
	alive, aliveErr := c.process().alive()
	switch {
	case aliveErr != nil:
		return nil, aliveErr
	case !alive:
		return nil, fault.Wrap(ErrNotRunning, "read the container's statistics", "")
	case err != nil:
		return nil, err
	}
	return &Stats{Stats: s, NetworkInterfaces: devices}, nil
}

// networkInterfaces reads the counters of all devices but the loopback one in the network namespace of the
// process. Where that is the caller's own, the devices are not the container's, and none are returned.
func (p process) networkInterfaces() ([]NetworkInterface, error) {
	dir := "/proc/" + strconv.Itoa(p.pid)
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return nil, fault.Wrap(err, "compare network namespaces", "")
	}
	if ns, err := os.Readlink(dir + "/ns/net"); err != nil {
		return nil, fault.Wrap(err, "compare network namespaces", "")
	} else if ns == own {
		return nil, nil
	}
	data, err := os.ReadFile(dir + "/net/dev")
	if err != nil {
		return nil, fault.Wrap(reason(err), "read "+dir+"/net/dev", "")
	}
	return parseNetDev(string(data))
}

// parseNetDev takes /proc/net/dev apart: two lines of heading, then NAME: and sixteen numbers, of which the
// first eight are about what was received (proc_pid_net(5)).
func parseNetDev(text string) ([]NetworkInterface, error) {
	var all []NetworkInterface
	for line := range strings.Lines(text) {
		name, numbers, ok := strings.Cut(line, ":")
		n := NetworkInterface{Name: strings.TrimSpace(name)}
		f := strings.Fields(numbers)
		if !ok || n.Name == "lo" || len(f) < 16 {
			continue
		}
		for at, to := range map[int]*uint64{
			0: &n.RxBytes, 1: &n.RxPackets, 2: &n.RxErrors, 3: &n.RxDropped,
			8: &n.TxBytes, 9: &n.TxPackets, 10: &n.TxErrors, 11: &n.TxDropped,
		} {
			var err error
			if *to, err = strconv.ParseUint(f[at], 10, 64); err != nil {
				return nil, fault.Wrap(err, "read the counters of the network device "+n.Name, "")
			}
		}
		all = append(all, n)
	}
	return all, nil
}
