package libruntime

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/faultpoint"
	"github.com/bailey-oci/bailey/internal/memfd"
	"github.com/bailey-oci/bailey/libruntime/hooks"
	"github.com/bailey-oci/bailey/libruntime/idmap"
	"github.com/bailey-oci/bailey/libruntime/netdev"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/libruntime/store"
)

// asked does what the container's init asks for while it is being made.
func (c *creation) asked(op plan.Op, received *os.File) (*os.File, error) {
	faultpoint.Here()
	switch a := op.Action.(type) {
	case plan.RunHooks:
		return nil, c.runHooks(a)
	case plan.SendState:
		// For hooks in the container's namespaces, which see the init under another process ID.
		c.hooked = true
		pid, err := innerPID(c.pid)
		if err != nil {
			return nil, err
		}
		state, err := hookState(c.rec, store.Created, pid)
		if err != nil {
			return nil, err
		}
		return memfd.Data("state", state)
	case plan.SendConsole:
		var err error
		c.console, err = takeConsole(received, c.opts.ConsoleSocket, c.opts.Console)
		return nil, err
	case plan.JoinResctrl:
		if err := c.resctrl.Create(); err != nil {
			return nil, err
		}
		return nil, c.resctrl.Join(c.pid)
	case plan.MapOwners:
		defer received.Close()
		return nil, mapOwners(int(received.Fd()), false, c.opened[a.IDMap], "")
	case plan.MapSource:
		return nil, c.mapSource(op, a)
	case plan.ReportReady:
		return nil, nil
	}
	return nil, askedAction(op, c.pid, c.rec.Rootless, c.rt.warn)
}

// mapSource has a mount that is yet to be handed over show its owners by the maps of the container.
func (c *creation) mapSource(op plan.Op, a plan.MapSource) error {
	if c.userns == nil {
		fd, path, err := openProcOf(op, c.pid, "ns/user", unix.O_RDONLY)
		if err != nil {
			return err
		}
		c.userns = os.NewFile(uintptr(fd), path)
	}
	if a.Slot == plan.SlotRoot {
		mount, err := c.mapOverlay(c.userns)
		if err != nil {
			return ofAction(err, op)
		}
		if mount >= 0 {
			c.opened[a.Slot].Close()
			c.opened[a.Slot] = os.NewFile(uintptr(mount), string(a.Slot))
			return nil
		}
	}
	path := ""
	for _, op := range c.plan.Ops {
		if t, ok := op.Action.(plan.OpenTree); ok && t.Slot == a.Slot {
			path = t.Path
		}
	}
	if err := mapOwners(int(c.opened[a.Slot].Fd()), a.Recursive, c.userns, path); err != nil {
		return ofAction(err, op)
	}
	return nil
}

// ofAction completes an error with the action that it is about.
func ofAction(err error, op plan.Op) error {
	var f *fault.Error
	if !errors.As(err, &f) {
		f = &fault.Error{Err: err}
	}
	f.Step, f.Origin = op.String(), op.Origin
	return f
}

// runHooks runs the hooks of a point in the caller's namespaces.
func (c *creation) runHooks(a plan.RunHooks) error {
	list := map[string][]specs.Hook{
		"prestart":      c.spec.Hooks.Prestart, //nolint:staticcheck // deprecated, and still in use
		"createRuntime": c.spec.Hooks.CreateRuntime,
	}[a.Point]
	// By the specification the environment is created when hooks run: the status is not "creating" any more.
	state, err := hookState(c.rec, store.Created, c.pid)
	if err != nil {
		return err
	}
	c.hooked = true
	return c.relay.during(func(ctx context.Context) error { return hooks.Run(ctx, a.Point, list, c.path, state) })
}

// askedAction does an action that concerns the process pid, of a new container or in an existing one.
func askedAction(op plan.Op, pid int, rootless bool, warn func(...string)) error {
	switch a := op.Action.(type) {
	case plan.WriteIDMaps:
		return idmap.Write(pid, a.UIDs, a.GIDs)
	case plan.SetOOMScore:
		err := setOOMScore(op, pid, a.Score)
		if err != nil && rootless && errors.Is(err, unix.EACCES) {
			warn(err.Error())
			return nil
		}
		return err
	case plan.WriteTimeOffsets:
		return writeTimeOffsets(op, pid, a.Offsets)
	case plan.MoveNetworkDevice:
		return moveDevice(op, pid, a)
	case plan.SetRlimits:
		return setRlimits(op, pid, a.Limits, false)
	case plan.RaiseRlimits:
		return setRlimits(op, pid, a.Limits, true)
	case plan.SetAffinity:
		return setAffinity(op, pid, a)
	case plan.SetScheduler:
		return setScheduler(op, pid, a)
	case plan.SetIOPriority:
		return setIOPriority(op, pid, a)
	case plan.ReportReady:
		return nil
	}
	return fault.New("the plan has an action that bailey cannot do: "+op.String(), op.Origin)
}

// openProcOf opens a file of the process pid in procfs for an action, and returns its path, too.
func openProcOf(op plan.Op, pid int, file string, flags int) (int, string, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/" + file
	fd, err := openHost(path, flags)
	if err != nil {
		return -1, path, &fault.Error{Step: op.String(), Origin: op.Origin, Object: path, Syscall: "open", Err: err}
	}
	return fd, path, nil
}

// writeTimeOffsets writes the offsets of the time namespace that the process pid has made for its children.
func writeTimeOffsets(op plan.Op, pid int, lines []string) error {
	fd, path, err := openProcOf(op, pid, "timens_offsets", unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(strings.Join(lines, "\n")+"\n")); err != nil {
		f := &fault.Error{Step: op.String(), Origin: op.Origin, Object: path, Syscall: "write", Err: err}
		if err == unix.ERANGE {
			f.Cause = "the clock would be negative, or beyond 146 years (time_namespaces(7))"
		}
		return f
	}
	return nil
}

// moveDevice moves a device into the network namespace of the process pid.
func moveDevice(op plan.Op, pid int, a plan.MoveNetworkDevice) error {
	fd, _, err := openProcOf(op, pid, "ns/net", unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := netdev.Move(a.Name, a.Inside, fd); err != nil {
		return fault.Wrap(err, op.String(), op.Origin)
	}
	return nil
}

// setOOMScore writes oom_score_adj. A score that is in force already is not written, because only a
// privileged process may lower it.
func setOOMScore(op plan.Op, pid, score int) error {
	fd, path, err := openProcOf(op, pid, "oom_score_adj", unix.O_RDWR)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var buf [16]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil {
		return &fault.Error{Step: op.String(), Origin: op.Origin, Object: path, Syscall: "read", Err: err}
	}
	current := strings.TrimSpace(string(buf[:n]))
	want := strconv.Itoa(score)
	if current == want {
		return nil
	}
	if _, err = unix.Pwrite(fd, []byte(want), 0); err == nil {
		return nil
	}
	f := &fault.Error{Step: op.String(), Origin: op.Origin, Object: path, Syscall: "write", Err: err}
	if err == unix.EACCES {
		why := machine().Lacks(unix.CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE", true, "lowering the score below what bailey was started with ("+current+")")
		if why.Cause != "" {
			f.Cause, f.Remedy = why.Cause, "set oomScoreAdj to "+current+" or more; or "+why.Remedy
		}
	}
	return f
}

// setRlimits sets the limits from outside, so that the process need not have the right to raise them; with raise it
// lowers none.
func setRlimits(op plan.Op, pid int, limits []plan.Rlimit, raise bool) error {
	for i, l := range limits {
		origin := op.Origin + "/" + strconv.Itoa(i)
		if raise { // they are some of those that config.json has
			origin = op.Origin
			var now unix.Rlimit
			if err := unix.Prlimit(pid, l.Resource, nil, &now); err != nil {
				return &fault.Error{Step: "read " + l.Name, Syscall: "prlimit64", Err: err}
			}
			l.Soft, l.Hard = max(l.Soft, now.Cur), max(l.Hard, now.Max)
		}
		err := unix.Prlimit(pid, l.Resource, &unix.Rlimit{Cur: l.Soft, Max: l.Hard}, nil)
		if err == nil {
			continue
		}
		f := &fault.Error{
			Step: "set " + l.Name + " to " + limit(l.Soft) + ":" + limit(l.Hard), Syscall: "prlimit64", Err: err,
			Origin: origin,
		}
		if err == unix.EPERM {
			var now unix.Rlimit
			if unix.Prlimit(pid, l.Resource, nil, &now) == nil && l.Hard > now.Max {
				why := machine().Lacks(unix.CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE", true, "raising the hard limit, which is "+limit(now.Max)+" here,")
				f.Cause = why.Cause
				f.Remedy = "lower the limit in config.json to " + limit(now.Max) + ", or raise that of what bailey is started by (LimitNOFILE= and kin, --default-ulimit); or " + why.Remedy
			} else if l.Resource == unix.RLIMIT_NOFILE {
				f.Cause = "it is more than the kernel allows any process (sysctl fs.nr_open)"
			}
		}
		return f
	}
	return nil
}

// limit returns a resource limit as config.json and people write it.
func limit(n uint64) string {
	if n == unix.RLIM_INFINITY {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}

// innerPID returns the process ID of a process in its own pid namespace.
func innerPID(pid int) (int, error) {
	data, err := readProc(strconv.Itoa(pid), "status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			f := strings.Fields(ids)
			if n, err := strconv.ParseUint(f[len(f)-1], 10, 31); err == nil {
				return int(n), nil
			}
		}
	}
	return 0, fault.New("find the process ID that process "+strconv.Itoa(pid)+" has in its own pid namespace", "")
}
