package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

var rlimitTypes = []string{
	"RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_LOCKS",
	"RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_RSS",
	"RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK",
}

// ValidateProcess checks p, the process of s or one that is to be executed in the container of s, which
// must be valid itself. The Origin of an error starts with "/process" where p is s.Process, otherwise it is
// "process" followed by the pointer within p.
func ValidateProcess(p *specs.Process, s *specs.Spec) error {
	base := "process "
	if p == s.Process {
		base = "/process"
	}
	for _, check := range []func(*specs.Process, string) error{
		validateExec, validateTerminal, validateRlimits, validateScheduler, validateProcessRest,
	} {
		if err := check(p, base); err != nil {
			return err
		}
	}
	return validateUser(&p.User, s, base)
}

// validateExec checks what execve and chdir are given.
func validateExec(p *specs.Process, base string) error {
	if len(p.Args) == 0 {
		return bad(base+"/args", "args is empty, there is nothing to execute")
	}
	if p.Args[0] == "" {
		return bad(base+"/args/0", "the name of the program to execute is empty")
	}
	if err := noNULs(p.Args, func(i int) string { return base + at("args", i) }); err != nil {
		return err
	}
	for i, e := range p.Env {
		// Only the name is shown: values are where secrets are.
		switch name, _, ok := strings.Cut(e, "="); {
		case !ok:
			return bad(base+at("env", i), "the entry is not of the form NAME=value")
		case name == "":
			return bad(base+at("env", i), "the name of the variable is empty")
		case strings.IndexByte(e, 0) >= 0:
			return bad(base+at("env", i), "variable %q has a NUL byte, which the kernel takes for the end", name)
		}
	}
	return absolute(p.Cwd, fixed(base+"/cwd"))
}

// validateTerminal checks the console's size, which the specification wants ignored without a terminal.
func validateTerminal(p *specs.Process, base string) error {
	if !p.Terminal || p.ConsoleSize == nil {
		return nil
	}
	for _, f := range []struct {
		field string
		value uint
	}{{"height", p.ConsoleSize.Height}, {"width", p.ConsoleSize.Width}} {
		if f.value > 65535 { // struct winsize has 16 bits
			return bad(base+at("consoleSize", f.field), "%s %d is out of range, allowed are 0 to 65535", f.field, f.value)
		}
	}
	return nil
}

func validateRlimits(p *specs.Process, base string) error {
	for i, r := range p.Rlimits {
		if !slices.Contains(rlimitTypes, r.Type) {
			return bad(base+at("rlimits", i, "type"), "resource limit %q is unknown, allowed are %s", r.Type, choice(rlimitTypes))
		}
		if slices.ContainsFunc(p.Rlimits[:i], func(o specs.POSIXRlimit) bool { return o.Type == r.Type }) {
			return bad(base+at("rlimits", i, "type"), "resource limit %s is given twice", r.Type)
		}
		if r.Soft > r.Hard {
			return bad(base+at("rlimits", i, "soft"), "the soft limit %d of %s is above the hard limit %d", r.Soft, r.Type, r.Hard)
		}
	}
	return nil
}

// validateProcessRest checks labels, the OOM score, I/O priority and CPU affinity. Capabilities are never an
// error (config.md: unknown ones and those that cannot be granted are warned about).
func validateProcessRest(p *specs.Process, base string) error {
	if err := oneLine(p.ApparmorProfile, fixed(base+"/apparmorProfile")); err != nil {
		return err
	}
	if err := oneLine(p.SelinuxLabel, fixed(base+"/selinuxLabel")); err != nil {
		return err
	}
	if n := p.OOMScoreAdj; n != nil && (*n < -1000 || *n > 1000) {
		return bad(base+"/oomScoreAdj", "oomScoreAdj %d is out of range, allowed are -1000 to 1000", *n)
	}
	if io := p.IOPriority; io != nil {
		switch io.Class {
		case specs.IOPRIO_CLASS_RT, specs.IOPRIO_CLASS_BE, specs.IOPRIO_CLASS_IDLE:
		default:
			return bad(base+"/ioPriority/class", "I/O priority class %q is unknown, allowed are "+
				"IOPRIO_CLASS_RT, IOPRIO_CLASS_BE and IOPRIO_CLASS_IDLE", io.Class)
		}
		if io.Priority < 0 || io.Priority > 7 {
			return bad(base+"/ioPriority/priority", "I/O priority %d is out of range, allowed are 0 to 7", io.Priority)
		}
	}
	if a := p.ExecCPUAffinity; a != nil {
		if why := badList(a.Initial); why != "" {
			return bad(base+"/execCPUAffinity/initial", "CPU list %q: %s", a.Initial, why)
		}
		if why := badList(a.Final); why != "" {
			return bad(base+"/execCPUAffinity/final", "CPU list %q: %s", a.Final, why)
		}
	}
	return nil
}

// validateUser checks process.user, against the ID maps where s has them. An ID without a mapping would make
// setresuid, setresgid or setgroups fail with EINVAL after everything else has been done.
func validateUser(u *specs.User, s *specs.Spec, base string) error {
	if u.Umask != nil && *u.Umask > 0o777 {
		return bad(base+"/user/umask", "umask %#o is out of range, allowed are 0 to 0777 (in JSON 511)", *u.Umask)
	}
	check := func(id uint32, kind string, lines []specs.LinuxIDMapping, origin func() string) error {
		if id == noID {
			return bad(base+origin(), "%s %d is nobody's ID", kind, id)
		}
		if len(lines) > 0 && !mapped(id, lines) {
			return because(bad(base+origin(), "%s %d has no mapping in linux.%sMappings", kind, id, kind),
				fmt.Sprintf("the container's user namespace has only the %ss %s", kind, spans(lines)),
				fmt.Sprintf("use one of these, or add a line with containerID %d to linux.%sMappings", id, kind))
		}
		return nil
	}
	if err := check(u.UID, "uid", s.Linux.UIDMappings, fixed("/user/uid")); err != nil {
		return err
	}
	if err := check(u.GID, "gid", s.Linux.GIDMappings, fixed("/user/gid")); err != nil {
		return err
	}
	for i, gid := range u.AdditionalGids {
		if err := check(gid, "gid", s.Linux.GIDMappings, func() string { return at("user", "additionalGids", i) }); err != nil {
			return err
		}
	}
	return nil
}
