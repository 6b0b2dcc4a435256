package plan

import (
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
)

// defaultUmask is that of runc and crun where config.json has none.
const defaultUmask = 0o022

// minDescriptors is the RLIMIT_NOFILE with which a container can still be started after its creation.
const minDescriptors = 4

// beforeStart adds everything about the process that is done at create, up to the proof of it.
func (c *compiler) beforeStart() error {
	candidates, err := c.candidates()
	if err != nil {
		return err
	}
	p := c.process
	c.add(NewSession{}, "")
	if !c.o.NoNewKeyring {
		c.add(JoinKeyring{"_ses." + c.o.ID}, "")
	}
	c.memory()
	if p.ApparmorProfile != "" {
		c.add(SetExecLabel{"apparmor", p.ApparmorProfile}, c.field("/apparmorProfile"))
	}
	if p.SelinuxLabel != "" {
		c.add(SetExecLabel{"selinux", p.SelinuxLabel}, c.field("/selinuxLabel"))
	}
	if p.Terminal {
		if c.o.Seal {
			c.add(ReopenConsole{}, c.field("/terminal"))
		}
		c.add(UseConsole{}, c.field("/terminal"))
	}
	c.scheduling()
	// Late, so that a small limit hits the payload and not the making of the container; by the host, whose
	// CAP_SYS_RESOURCE may raise hard limits.
	for i, l := range p.Rlimits {
		// It has the standard streams, its listener, and takes one connection.
		if !c.o.Attached && l.Type == "RLIMIT_NOFILE" && l.Soft < minDescriptors {
			return &fault.Error{Step: "set RLIMIT_NOFILE to " + strconv.FormatUint(l.Soft, 10),
				Origin: at(c.field("/rlimits"), i), Err: errInvalid,
				Cause:  "a container that waits for start needs a descriptor to hear of it",
				Remedy: "allow at least " + strconv.Itoa(minDescriptors)}
		}
	}
	if len(p.Rlimits) > 0 {
		c.add(SetRlimits{rlimits(p.Rlimits)}, c.field("/rlimits"))
	}
	if u := p.User.Umask; u != nil {
		c.add(SetUmask{*u}, c.field("/user/umask"))
	} else {
		c.add(SetUmask{defaultUmask}, "")
	}
	// As root, because a directory that only root may enter is a valid place to start in.
	c.add(ChangeDirectory{Path: path.Clean(p.Cwd)}, c.field("/cwd"))
	if c.o.SetgroupsDenied && len(p.User.AdditionalGids) > 0 && !c.keepsGroups() {
		return &fault.Error{Step: "set the supplementary groups", Origin: c.field("/user/additionalGids"),
			Err:    errNotPermitted,
			Cause:  "an ordinary user's user namespace of one group denies setgroups",
			Remedy: "give the user subordinate group IDs in /etc/subgid, or remove additionalGids"}
	}
	c.add(SetIDs{UID: p.User.UID, GID: p.User.GID, Groups: p.User.AdditionalGids,
		KeepGroups: c.o.SetgroupsDenied || c.keepsGroups()}, c.field("/user"))
	caps := c.caps
	if c.keepsSysAdmin() {
		caps = caps.withSysAdmin()
	}
	c.warnSecurebits()
	c.add(caps.action(c.o.Securebits), c.field("/capabilities"))
	if p.NoNewPrivileges {
		c.add(SetNoNewPrivileges{}, c.field("/noNewPrivileges"))
	}
	c.add(ResolveExecutable{Name: p.Args[0], Candidates: candidates}, c.field("/args/0"))
	c.add(Verify{UID: p.User.UID, GID: p.User.GID, Bounding: caps.bounding, Effective: caps.effective,
		Permitted: caps.permitted, Inheritable: caps.inheritable, Ambient: caps.ambient,
		NoNewPrivileges: p.NoNewPrivileges, Securebits: c.o.Securebits}, "")
	return nil
}

// payload adds what is left after start. The filter is the last thing before the payload: it is made for the
// payload's system calls, not for ours, so that nothing runs under it but the exec. That also ends the
// CAP_SYS_ADMIN that loading the filter took: what is in neither the bounding nor the ambient set no execve(2)
// takes along.
func (c *compiler) payload() {
	c.add(CloseDescriptors{c.o.PreserveFDs}, "")
	if len(c.o.SeccompProgram) > 0 {
		origin := "/linux/seccomp"
		if c.spec.Linux.Seccomp == nil {
			origin = ""
		}
		c.add(LoadSeccomp{Program: c.o.SeccompProgram, Flags: c.o.SeccompFlags, Denies: c.o.SeccompDenies.names()}, origin)
	}
	// Valid by now: beforeStart has asked, too.
	candidates, _ := c.candidates()
	c.add(Exec{Candidates: candidates, Args: c.process.Args, Env: c.process.Env}, c.field("/args"))
}

// candidates returns the files that may be what args[0] names, in the order in which they are tried: itself
// if it has a slash, otherwise that name in each directory of the payload's PATH. As with Go's
// exec.LookPath, which runc uses, there is no default PATH, and its empty and relative elements, which mean
// the working directory, do not count.
func (c *compiler) candidates() ([]string, error) {
	name := c.process.Args[0]
	if strings.Contains(name, "/") {
		return []string{name}, nil
	}
	var list, found string
	for _, e := range c.process.Env {
		// The last one counts, as it does for whoever reads the environment into a map.
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			list = v
		}
	}
	candidates := make([]string, 0, 8)
	for list != "" {
		found, list, _ = strings.Cut(list, ":")
		if path.IsAbs(found) {
			candidates = append(candidates, strings.TrimRight(found, "/")+"/"+name)
		}
	}
	if len(candidates) == 0 {
		return nil, &fault.Error{Step: "find the executable " + name, Origin: c.field("/args/0"), Err: errNotFound,
			Cause: "the environment in config.json has no PATH with absolute directories", Remedy: "set PATH in " +
				c.field("/env") + ", or name the executable with its path"}
	}
	return candidates, nil
}

// rlimitNames are the resources by the kernel's number (include/uapi/asm-generic/resource.h).
var rlimitNames = [...]string{
	"RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC",
	"RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE",
	"RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
}

func rlimits(list []specs.POSIXRlimit) []Rlimit {
	limits := make([]Rlimit, 0, len(list))
	for _, l := range list {
		for number, name := range rlimitNames {
			if name == l.Type {
				limits = append(limits, Rlimit{Name: name, Resource: number, Soft: l.Soft, Hard: l.Hard})
			}
		}
	}
	return limits
}

// hooksBeforePivot adds the hooks that run when the container is complete but not yet entered. Those of
// createContainer run from the init, with its full capabilities, and see the host's files.
func (c *compiler) hooksBeforePivot() {
	h := c.spec.Hooks
	if h == nil {
		return
	}
	if n := len(h.Prestart); n > 0 { //nolint:staticcheck // deprecated, and still in use
		c.add(RunHooks{Point: "prestart", Count: n}, "/hooks/prestart")
	}
	if n := len(h.CreateRuntime); n > 0 {
		c.add(RunHooks{Point: "createRuntime", Count: n}, "/hooks/createRuntime")
	}
	if len(h.CreateContainer) > 0 {
		c.add(SendState{}, "/hooks/createContainer")
		c.hooks("createContainer", h.CreateContainer)
	}
}

// hooksAtStart adds the startContainer hooks. They run with the payload's user, capabilities and bounding
// set, as with runc and crun: they are programs of the container's image and get no more than the rest of it.
// Unlike with runc they run before the system-call filter, which is for the payload.
func (c *compiler) hooksAtStart() {
	if h := c.spec.Hooks; h != nil {
		c.hooks("startContainer", h.StartContainer)
	}
}

func (c *compiler) hooks(point string, hooks []specs.Hook) {
	for i, h := range hooks {
		hook := RunHook{Point: point, Path: h.Path, Args: h.Args, Env: h.Env}
		if h.Timeout != nil {
			hook.Timeout = time.Duration(*h.Timeout) * time.Second
		}
		if len(hook.Args) == 0 {
			hook.Args = []string{h.Path}
		}
		c.add(hook, at("/hooks/"+point, i))
	}
}

// keepGroupsAnnotation is crun's; Podman writes it for --group-add keep-groups.
const keepGroupsAnnotation = "run.oci.keep_original_groups"

// keepsGroups reports whether the payload is to have the caller's supplementary groups instead of those of config.json: in a
// user namespace an ordinary user's groups cannot be named, but kept.
func (c *compiler) keepsGroups() bool {
	return c.spec.Annotations[keepGroupsAnnotation] == "1"
}
