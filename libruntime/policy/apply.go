package policy

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
)

// Apply makes s, the configuration of a container that is to be made, what the decision wants it to be, as far as that
// is a matter of config.json alone: the ceiling of capabilities, no_new_privileges, and the refusals of "require". The
// rest is left to whoever makes the container: the user namespace of UsernsAuto (it need not be in s yet), UsernsSize,
// Namespaces, Securebits, Seal, Overlap. An error is a *fault.Error whose Origin is the field of config.json.
//
// With the zero Decision nothing is looked at and nothing changed.
func Apply(s *specs.Spec, d *Decision) error {
	if d.Userns.Value == UsernsRequire && !hasUserNamespace(s) {
		return missing("/linux/namespaces", "the container has no user namespace", "userns", d.Userns.Why(),
			"let the engine add one (--userns, hostUsers: false), or start it with --userns auto")
	}
	if d.Seccomp.Value == SeccompRequire && !hasFilter(s) {
		return missing("/linux/seccomp", "the container has no system-call filter", "seccomp", d.Seccomp.Why(),
			"give the container a seccomp profile; engines leave it out for privileged containers and for seccomp=unconfined")
	}
	if s.Process == nil {
		return nil
	}
	return ApplyProcess(s.Process, "/process", d)
}

// ApplyProcess is Apply for a process, be it that of config.json or one that joins the container later; origin is
// its place for errors ("/process", "--process").
func ApplyProcess(p *specs.Process, origin string, d *Decision) error {
	switch d.NoNewPrivileges.Value {
	case NoNewPrivilegesSet:
		p.NoNewPrivileges = true
	case NoNewPrivilegesRequire:
		if !p.NoNewPrivileges {
			return missing(origin+"/noNewPrivileges", "the process may gain privileges by executing a program", "no_new_privileges",
				d.NoNewPrivileges.Why(), "set noNewPrivileges to true (--security-opt no-new-privileges, allowPrivilegeEscalation: false)")
		}
	}
	if ceiling := d.Capabilities.Value; ceiling.Limited && p.Capabilities != nil {
		c := p.Capabilities
		for _, set := range []*[]string{&c.Bounding, &c.Effective, &c.Inheritable, &c.Permitted, &c.Ambient} {
			*set = below(ceiling, *set)
		}
	}
	return nil
}

// missing returns the error for what a policy requires and config.json does not have.
func missing(origin, what, setting, why, remedy string) error {
	return &fault.Error{Step: what, Origin: origin, Err: errRefused, Cause: setting + ` = "require" by ` + why, Remedy: remedy}
}

// below returns the names that the ceiling allows. The five sets may share their memory, so it is not changed.
func below(ceiling Ceiling, names []string) []string {
	above := func(name string) bool { return !slices.Contains(ceiling.Allowed, name) }
	if !slices.ContainsFunc(names, above) {
		return names
	}
	return slices.DeleteFunc(slices.Clone(names), above)
}

func hasUserNamespace(s *specs.Spec) bool {
	return s.Linux != nil && slices.ContainsFunc(s.Linux.Namespaces, func(ns specs.LinuxNamespace) bool {
		return ns.Type == specs.UserNamespace
	})
}

// hasFilter reports whether the profile could refuse anything.
func hasFilter(s *specs.Spec) bool {
	if s.Linux == nil || s.Linux.Seccomp == nil {
		return false
	}
	harmless := func(a specs.LinuxSeccompAction) bool { return a == specs.ActAllow || a == specs.ActLog }
	return !harmless(s.Linux.Seccomp.DefaultAction) || slices.ContainsFunc(s.Linux.Seccomp.Syscalls, func(c specs.LinuxSyscall) bool {
		return !harmless(c.Action)
	})
}
