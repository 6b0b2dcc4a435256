package lifecycle

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// event is a line of `bailey events`, as far as programs that read runc's decode it.
type event struct {
	Type, ID string
	Data     *struct {
		CPU struct {
			Usage      struct{ Total, Kernel, User uint64 }
			Throttling struct{ Periods, ThrottledPeriods, ThrottledTime uint64 }
			PSI        *struct {
				Some, Full *struct {
					Avg10, Avg60, Avg300 *float64
					Total                *uint64
				}
			}
		}
		CPUSet struct{ CPUs, Mems []uint16 }
		Memory struct {
			Usage, Swap, Kernel struct{ Limit, Usage, Max, Failcnt uint64 }
		}
		Pids    struct{ Current, Limit uint64 }
		Hugetlb map[string]struct{ Usage, Max, Failcnt uint64 }

		IntelRdt   *struct{}          `json:"intel_rdt"`
		Interfaces []networkInterface `json:"network_interfaces"`
	}
}

type networkInterface struct {
	Name                                                                             string
	RxBytes, RxPackets, RxErrors, RxDropped, TxBytes, TxPackets, TxErrors, TxDropped *uint64
}

func parseEvents(t *testing.T, out string) []event {
	t.Helper()
	var all []event
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		all = append(all, e)
	}
	return all
}

// The figures are those of the container's cgroups and of its network namespace.
func TestStats(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		c := e.Container(harness.Sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; : > /work/ready; sleep 100000 & wait"), rich(e))
		if e.HasController("memory") {
			c.Spec.Linux.Resources.Memory.Swap = ptr[int64](2 * memoryLimit)
		}
		c.Spec.Process.User.UID = 0
		c.Spec.Process.Capabilities = nil
		c.WriteSpec()
		c.RunDetached().OK(e)
		e.Eventually("it has worked", func() bool { return exists(c.Rootfs + "/work/ready") })
		addDevices(e, c.PID(), "eth0", "eth1")
		events := parseEvents(t, e.Bailey("events", "--stats", c.ID).OK(e))
		if len(events) != 1 || events[0].Type != "stats" || events[0].ID != c.ID || events[0].Data == nil {
			t.Fatalf("%+v", events)
		}
		d := events[0].Data
		if d.CPU.Usage.Total < 1e6 || d.CPU.Usage.Total > 1e12 {
			t.Errorf("CPU: %+v", d.CPU)
		}
		if p := d.CPU.PSI; e.View != harness.V1 && exists("/proc/pressure") && (p == nil || p.Some == nil || p.Some.Avg300 == nil || p.Full == nil || p.Full.Total == nil) {
			t.Errorf("PSI: %+v", p)
		}
		if d.Pids.Current != 2 {
			t.Errorf("pids: %+v", d.Pids)
		}
		if e.HasController("pids") && d.Pids.Limit != pidsLimit {
			t.Errorf("pids: %+v", d.Pids)
		}
		if m := d.Memory; e.HasController("memory") && (m.Usage.Limit != memoryLimit || m.Usage.Usage == 0 ||
			m.Usage.Max < m.Usage.Usage || m.Swap.Limit != 2*memoryLimit || m.Swap.Usage < m.Usage.Usage) {
			t.Errorf("memory: %+v", m)
		}
		if d.IntelRdt == nil {
			t.Error("no intel_rdt")
		}
		if _, ok := d.Hugetlb["2MB"]; e.HasController("hugetlb") && !ok {
			t.Errorf("hugetlb: %+v", d.Hugetlb)
		}
		var names []string
		for _, n := range d.Interfaces {
			names = append(names, n.Name)
			if n.RxBytes == nil || n.RxPackets == nil || n.RxErrors == nil || n.RxDropped == nil ||
				n.TxBytes == nil || n.TxPackets == nil || n.TxErrors == nil || n.TxDropped == nil {
				t.Errorf("network interface: %+v", n)
			}
		}
		slices.Sort(names)
		if !slices.Equal(names, []string{"eth0", "eth1"}) {
			t.Errorf("network interfaces: %v", names)
		}
	})
}

// addDevices makes a pair of devices in the network namespace of a process.
func addDevices(e *harness.Env, pid int, name, peer string) {
	e.T.Helper()
	ns, err := netns.GetFromPid(pid)
	e.Must(err)
	defer ns.Close()
	h, err := netlink.NewHandleAt(ns)
	e.Must(err)
	defer h.Close()
	e.Must(h.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: peer}))
}

// The devices of the host are not told as those of a container that shares its network.
func TestStatsOfSharedNetwork(t *testing.T) {
	e := newEnv(t)
	c := e.Container(harness.Without(specs.NetworkNamespace))
	c.RunDetached().OK(e)
	if out := e.Bailey("events", "--stats", c.ID).OK(e); !strings.Contains(out, `"network_interfaces":null`) {
		t.Error(out)
	}
}

// Everything that runc prints of a container has a place in what bailey prints, with the same kind of value.
func TestStatsHaveTheFormOfRunc(t *testing.T) {
	runc, err := exec.LookPath("runc")
	if err != nil {
		t.Skip("there is no runc to compare with (Debian's package runc)")
	}
	eachView(t, func(t *testing.T, e *harness.Env) {
		if e.View == harness.Hybrid {
			t.Skip("Debian's runc does not know this view")
		}
		c := e.Container(rich(e))
		c.Spec.Linux.Seccomp, c.Spec.Process.OOMScoreAdj, c.Spec.Domainname = nil, nil, ""
		c.WriteSpec()
		of := func(runtime string) any {
			o := harness.Options{NoGlobals: true, Runtime: runtime}
			root := e.Path("other-root")
			e.Run(o, "--root", root, "run", "--detach", "--bundle", c.Bundle, c.ID).OK(e)
			out := e.Run(o, "--root", root, "events", "--stats", c.ID).OK(e)
			e.Run(o, "--root", root, "delete", "--force", c.ID).OK(e)
			var v any
			if err := json.Unmarshal([]byte(out), &v); err != nil {
				t.Fatal(err)
			}
			return v
		}
		comparePlaces(t, "", of(runc), of(e.Runtime))
	})
}

// leftOutIfZero are the places that runc's types leave out while they are zero.
var leftOutIfZero = []string{"total", "periods", "throttledPeriods", "throttledTime", "cache", "usage", "max", "current", "value", "major", "minor",
	"ioServiceBytesRecursive", "ioServicedRecursive"}

func comparePlaces(t *testing.T, at string, theirs, ours any) {
	t.Helper()
	switch theirs := theirs.(type) {
	case map[string]any:
		ours, ok := ours.(map[string]any)
		if !ok && len(theirs) > 0 {
			t.Errorf("%s: an object in runc", at)
		}
		for _, key := range slices.Sorted(maps.Keys(theirs)) {
			if ours[key] == nil && slices.Contains(leftOutIfZero, key) {
				continue
			}
			if _, ok := ours[key]; !ok {
				t.Errorf("%s: %q is missing", at, key)
				continue
			}
			comparePlaces(t, at+"/"+key, theirs[key], ours[key])
		}
	case float64:
		if _, ok := ours.(float64); !ok {
			t.Errorf("%s: %v, in runc %v", at, ours, theirs)
		}
	case string:
		if _, ok := ours.(string); !ok {
			t.Errorf("%s: %v, in runc %v", at, ours, theirs)
		}
	case []any:
		if _, ok := ours.([]any); !ok {
			t.Errorf("%s: %v, in runc %v", at, ours, theirs)
		}
	}
}

// events goes on until the container ends, tells the figures at the interval, and each lack of memory.
func TestEvents(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		c := e.Container(rich(e))
		c.RunDetached().OK(e)
		watch := e.Start(harness.Options{}, "events", "--interval", "50ms", c.ID)
		count := func(kind string) int {
			n := 0
			for _, e := range parseEvents(t, whole(watch.Stdout())) {
				if e.Type == kind {
					n++
				}
				if (e.Data != nil) != (kind == "stats") && e.Type == kind {
					t.Errorf("%+v", e)
				}
			}
			return n
		}
		e.Eventually("the figures come", func() bool { return count("stats") >= 3 })
		if e.HasController("memory") {
			if n := count("oom"); n != 0 {
				t.Errorf("%d times out of memory", n)
			}
			for range 2 {
				before := count("oom")
				if r := c.Exec(nil, "tail", "/dev/zero"); r.Code != 137 {
					t.Errorf("%s\nwant exit status 137", r)
				}
				// At least once: v1 may notify again until the killed process has let go of its memory.
				e.Eventually("it is told", func() bool { return count("oom") > before })
			}
			if !strings.Contains(watch.Stdout(), `{"type":"oom","id":"`+c.ID+`"}`+"\n") {
				t.Error(watch.Stdout())
			}
		}
		e.Bailey("pause", c.ID).OK(e)
		n := count("stats")
		e.Eventually("the figures come of a paused container", func() bool { return count("stats") > n })
		e.Bailey("resume", c.ID).OK(e)
		c.Kill("KILL").OK(e)
		r := watch.Wait()
		if r.Code != 0 {
			t.Error(r)
		}
		if want := !e.HasController("memory"); strings.Contains(r.Stderr+strings.Join(e.LogWarnings(), ""), "out of memory will not be told") != want {
			t.Errorf("%s\n%v", r, e.LogWarnings())
		}
		e.Bailey("events", c.ID).Fails(e, "container not running")
		e.Bailey("events", "--stats", c.ID).Fails(e, "container not running")
		c.Delete().OK(e)
		e.Bailey("events", "--stats", c.ID).Fails(e, "does not exist")
	})
}

// whole returns the lines of what is perhaps still being written.
func whole(s string) string { return s[:strings.LastIndexByte(s, '\n')+1] }

// A lack of memory that ends the container is told before events ends, and delete --force ends events, too.
func TestEventsToTheEnd(t *testing.T) {
	eachView(t, func(t *testing.T, e *harness.Env) {
		if !e.HasController("memory") {
			t.Skip("this machine's cgroups have no controller memory in this view")
		}
		c := e.Container(harness.Sh("while [ ! -e /work/go ]; do sleep 0.01; done; exec tail /dev/zero"), rich(e))
		c.Spec.Process.User.UID = 0
		c.WriteSpec()
		c.RunDetached().OK(e)
		watch := e.Start(harness.Options{}, "events", "--interval", "1h", c.ID)
		e.Eventually("the first figures come", func() bool { return strings.Contains(watch.Stdout(), "\n") })
		e.Must(os.WriteFile(c.Rootfs+"/work/go", nil, 0o644))
		events := parseEvents(t, watch.Wait().OK(e))
		ooms := slices.DeleteFunc(slices.Clone(events), func(e event) bool { return e.Type != "oom" })
		// systemd removes the cgroup as soon as it is empty, and with it what could tell.
		if len(ooms) == 0 && !e.Systemd || len(events) != len(ooms)+1 || events[0].Type != "stats" {
			t.Errorf("%+v", events)
		}

		d := e.Container()
		d.Create().OK(e)
		watch = e.Start(harness.Options{}, "events", "--interval", "1h", d.ID)
		e.Eventually("the first figures come", func() bool { return strings.Contains(watch.Stdout(), "\n") })
		d.Delete("--force").OK(e)
		if events := parseEvents(t, watch.Wait().OK(e)); len(events) != 1 {
			t.Errorf("%+v", events)
		}
	})
}

func TestEventsFlags(t *testing.T) {
	e := newEnv(t)
	c := e.Container()
	c.RunDetached().OK(e)
	for _, interval := range []string{"0", "-1s", "5", "soon", ""} {
		e.Bailey("events", "--interval", interval, c.ID).Fails(e, "--interval")
	}
	e.Bailey("events").Fails(e, "argument is missing")
	e.Bailey("events", c.ID, "other").Fails(e, "one argument too many")
}
