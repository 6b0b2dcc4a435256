package libruntime

import (
	"github.com/bailey-oci/bailey/libruntime/cgroup"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/libruntime/seccomp"
	"github.com/bailey-oci/bailey/spec"
)

// Plan returns what Create, or with attached Run, would do. It reads the bundle and facts of the machine,
// needs no privileges and touches nothing.
func (rt *Runtime) Plan(opts *CreateOptions, attached bool) (*plan.Plan, error) {
	b, err := loadBundle(opts.Bundle, opts.Config)
	if err != nil {
		return nil, err
	}
	cg, err := cgroup.New(opts.ID, b.spec, cgroup.Options{
		Rootless: rt.rootless(), Disabled: rt.CgroupsDisabled, Systemd: rt.CgroupsSystemd,
	})
	if err != nil {
		return nil, err
	}
	rt.warn(spec.Warnings(b.spec.Process)...)
	setHome(b.spec.Process, func() []byte { return passwdOfBundle(b) })
	o := rt.facts(b, opts, cg)
	o.Attached = attached
	if sealed, reason := opts.sealed(b.spec); !sealed && reason != "" {
		rt.warn("not sealed: " + reason)
	}
	var program *seccomp.Program
	if b.spec.Linux.Seccomp != nil {
		// Past the cache, which would be written to.
		if program, err = seccomp.Compile(b.spec.Linux.Seccomp); err != nil {
			return nil, err
		}
		rt.warn(program.Warnings...)
	}
	if program, err = deny(program, o.SeccompDenies); err != nil {
		return nil, err
	}
	if program != nil {
		o.SeccompProgram, o.SeccompFlags = program.Filter, uint64(program.Flags)
	}
	p, err := plan.Compile(b.spec, o)
	if err == nil {
		rt.warn(p.Warnings...)
	}
	return p, err
}
