package libruntime

import (
	"github.com/bailey-oci/bailey/libruntime/cgroup"
	"github.com/bailey-oci/bailey/libruntime/idmap/ledger"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/libruntime/seccomp"
	"github.com/bailey-oci/bailey/libruntime/store"
	"github.com/bailey-oci/bailey/spec"
)

// Plan returns what Create, or with attached Run, would do. It reads the bundle and facts of the machine,
// needs no privileges and touches nothing.
func (rt *Runtime) Plan(opts *CreateOptions, attached bool) (*plan.Plan, error) {
	b, err := rt.bundle(opts)
	if err != nil {
		return nil, err
	}
	own := *opts
	opts = &own
	if err := rt.decide(b, opts); err != nil {
		return nil, err
	}
	if err := rt.exampleIDs(b); err != nil {
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
	// Past the cache, which would be written to.
	if o.SeccompProgram, o.SeccompFlags, err = rt.filter(b.spec, o.SeccompDenies, seccomp.Compile); err != nil {
		return nil, err
	}
	p, err := plan.Compile(b.spec, o)
	if err == nil {
		p.Decided = b.decided()
		rt.warn(p.Warnings...)
	}
	return p, err
}

// decided returns what was decided about the container, setting by setting.
func (b *bundle) decided() []plan.Decided {
	if b.decision == nil {
		return nil
	}
	var list []plan.Decided
	for _, r := range b.decision.Rows() {
		if len(r.By) > 0 {
			list = append(list, plan.Decided{Setting: r.Setting, Value: r.Value, By: r.Why()})
		}
	}
	return list
}

// exampleIDs gives a container that is to have IDs from the ledger some that it could have, for a plan to show.
func (rt *Runtime) exampleIDs(b *bundle) error {
	if b.idsWanted == 0 {
		return nil
	}
	l, _, err := rt.ledger(ledger.Options{})
	if err != nil {
		return err
	}
	defer l.Close()
	snapshot, err := l.Snapshot()
	if err != nil {
		return err
	}
	first := uint32(ledger.DefaultSize)
	for _, g := range snapshot.Grants {
		if g.Own {
			first = g.First
			break
		}
	}
	rt.warn("the container's IDs are allocated when it is made; those that are shown stand for them")
	return b.give(store.IDs{UID: first, GID: first, Size: b.idsWanted})
}
