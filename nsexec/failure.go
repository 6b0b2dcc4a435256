package nsexec

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"golang.org/x/sys/unix"
)

// explained turns a FAILED message into an error and has its cause looked for, if that is not known yet.
func (s *session) explained(m *message) error {
	defer m.close()
	err := s.failed(m)
	var f *fault.Error
	if s.server.Explain == nil || m.index >= uint32(len(s.plan.Ops)) || !errors.As(err, &f) || f.Cause != "" {
		return err
	}
	errno, call, object := m.failure()
	f.Cause, f.Remedy = s.server.Explain(&Failure{Op: s.plan.Ops[m.index], PID: m.pid, Syscall: call, Object: object,
		Errno: errno, Evidence: m.file})
	return err
}

// failed is explained without a look at the machine.
func (s *session) failed(m *message) error {
	errno, call, object := m.failure()
	if m.index >= uint32(len(s.plan.Ops)) {
		return &fault.Error{Step: "execute the plan", Syscall: call, Object: object, Err: errno}
	}
	op := s.plan.Ops[m.index]
	switch a := op.Action.(type) {
	case plan.ResolveExecutable:
		return execFailure(a.Name, op.Origin, errno)
	case plan.OpenTree:
		if call == "open_tree" && errno == unix.EINVAL && !a.Recursive {
			return &fault.Error{Step: op.String(), Origin: op.Origin, Object: object, Syscall: call, Err: errno,
				Cause:  "other mounts lie below it, and what they cover must not come to light in an ordinary user's container",
				Remedy: "take them along: use the option rbind"}
		}
	case plan.JoinNamespace:
		if errno == unix.EPERM && a.Type != plan.UserNS && s.joinsUser() {
			return &fault.Error{Step: op.String(), Origin: op.Origin, Syscall: call, Err: errno,
				Cause: "it belongs to another user namespace than the one that is joined, as the namespaces of a sealed " +
					"container do: its processes are in a user namespace inside of the one that owns them",
				Remedy: "have the container whose namespaces are joined made without a seal"}
		}
	case plan.Seal:
		return sealFailure(op, call, object, errno)
	case plan.ProveSeal:
		if errno == unix.ENOTRECOVERABLE {
			return &fault.Error{Step: op.String(), Object: strings.TrimSpace(call + " " + object), Err: errSealBroken,
				Cause: "in the sealed namespaces the kernel lets root do this, so that the seal would be none; a new procfs it " +
					"refuses only where no mount shows one without masks, as a volume with the machine's /proc does",
				Remedy: "remove such a mount, or do without the seal"}
		}
	case plan.RunHook:
		return hookFailure(a.Point, op.Origin, strings.TrimPrefix(call, "hook "), object, errno)
	}
	return &fault.Error{Step: op.String(), Origin: op.Origin, Object: object, Syscall: call, Err: errno}
}

// joinsUser reports whether the plan joins a user namespace.
func (s *session) joinsUser() bool {
	return slices.ContainsFunc(s.plan.Ops, func(op plan.Op) bool {
		a, ok := op.Action.(plan.JoinNamespace)
		return ok && a.Type == plan.UserNS
	})
}

var errSealBroken = errors.New("it worked")

// sealFailure is about new namespaces for the seal and their maps.
func sealFailure(op plan.Op, call, object string, errno syscall.Errno) error {
	e := &fault.Error{Step: op.String(), Origin: op.Origin, Object: object, Syscall: call, Err: errno}
	switch {
	case call == "unshare" && errno == unix.ENOSPC:
		e.Cause = "there are as many namespaces as the sysctls user.max_user_namespaces and user.max_mnt_namespaces allow, " +
			"here or further out, or 33 user namespaces lie in each other"
	case call == "unshare" && errno == unix.EPERM:
		e.Cause = "the process may make no user namespace: a security module forbids it, or its root directory is not that " +
			"of its mount namespace"
	case strings.HasSuffix(object, "_map") && errno == unix.EPERM:
		e.Cause = "mapping all IDs takes CAP_SETUID, CAP_SETGID and CAP_SETFCAP, which bailey was started without"
	}
	return e
}

// startFailure does the same for what comes after start, where the plan is not at hand.
func startFailure(m *message) error {
	errno, call, object := m.failure()
	switch call {
	case "execve":
		return execFailure(object, "/process/args/0", errno)
	case "hook":
		return hookFailure("startContainer", "/hooks/startContainer", call, object, errno)
	case "hook execve":
		return hookFailure("startContainer", "/hooks/startContainer", "execve", object, errno)
	case "seccomp":
		return &fault.Error{Step: "load the system-call filter", Origin: "/linux/seccomp", Syscall: call, Err: errno}
	}
	return &fault.Error{Step: "start the payload", Syscall: call, Object: object, Err: errno}
}

// execFailure uses the words that engines look for.
func execFailure(name, origin string, errno syscall.Errno) error {
	e := &fault.Error{Origin: origin, Err: errno}
	switch {
	case errno == unix.ENOENT && !strings.Contains(name, "/"):
		e.Step = fmt.Sprintf("exec: %q: executable file not found in $PATH", name)
	case errno == unix.ENOENT:
		e.Step = fmt.Sprintf("exec: %q: stat %s: no such file or directory", name, name)
	case errno == unix.EACCES:
		e.Step = fmt.Sprintf("exec: %q: permission denied", name)
	case errno == unix.EISDIR:
		// The kernel says EACCES; some engines know one of the two, and some the other.
		e.Step = fmt.Sprintf("exec: %q: permission denied: is a directory", name)
	case errno == unix.ENOEXEC:
		e.Step = fmt.Sprintf("exec: %q: exec format error", name)
		e.Cause = "the file is neither a program of this machine's architecture nor a script that begins with #!"
	default:
		e.Step = fmt.Sprintf("exec: %q", name)
	}
	return e
}

// hookFailure is about a hook that ran in the container's namespaces. object begins with its path.
func hookFailure(point, origin, call, object string, errno syscall.Errno) error {
	e := &fault.Error{Step: "run " + point + " hook", Origin: origin, Object: object}
	switch {
	case call == "hook" && errno == unix.EPROTO: // it ran, and object says how it ended
	case call == "hook" && errno == unix.ETIMEDOUT:
		e.Err = errors.New("it did not end within its timeout")
	default:
		e.Syscall, e.Err = call, errno
	}
	return e
}

// died explains the end of the connection by how the processes ended.
func (s *session) died(err error) error {
	e := &fault.Error{Step: "execute the plan", Err: err}
	who, pid := "the preamble", s.Preamble.pid
	if s.pid != 0 {
		who, pid = "the container's init", s.pid
	}
	// The connection ends while its last holder exits, so this does not wait for long.
	ws := wait(pid)
	if s.pid != 0 {
		s.pid = 0
	} else {
		s.reaped = true
	}
	switch {
	case s.reaped && pid == int(early.pid) && early.errno != 0:
		return &fault.Error{Step: "start the preamble", Syscall: unix.BytePtrToString(early.syscall), Err: unix.Errno(early.errno)}
	case ws.Signaled():
		e.Err = fmt.Errorf("%s was killed by signal %d (%s)", who, ws.Signal(), unix.SignalName(ws.Signal()))
		if ws.Signal() == unix.SIGKILL {
			e.Cause = "somebody killed it, or it ran out of the container's memory limit"
			e.Remedy = "look for an out-of-memory kill in the kernel log; raise linux.resources.memory.limit"
			e.Origin = "/linux/resources/memory/limit"
		}
	case e.Err == nil && s.reaped && ws.ExitStatus() == 0:
		// Stage 0 has done its work. Who the init was is not known; it is reaped by who reaps ours.
		e.Err = errors.New("the container's init ended before it said anything")
	case e.Err == nil:
		e.Err = fmt.Errorf("%s ended without saying why (status %d)", who, ws.ExitStatus())
	}
	return e
}
