package libruntime

import (
	"encoding/json"
	"errors"
	"os"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/idmap/ledger"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/libruntime/policy"
	"github.com/bailey-oci/bailey/libruntime/store"
	"github.com/bailey-oci/bailey/spec"
)

// decide finds out what the policies, annotations and flags say of a container, and does to its configuration and options
// what follows of that. Where nothing says anything, nothing is changed.
func (rt *Runtime) decide(b *bundle, opts *CreateOptions) error {
	p, err := policy.Load(rt.Policies)
	if err != nil {
		return err
	}
	asked := policy.Asked{Userns: opts.Userns, Seal: string(opts.Seal)}
	d, err := p.Decide(policy.Facts{Annotations: b.spec.Annotations, Bundle: b.path, Rootfs: b.rootfs()}, asked)
	if err != nil || d.IsZero() {
		return err
	}
	b.decision = &d
	if err := policy.Apply(b.spec, &d); err != nil {
		return err
	}
	b.confinement(opts)
	if err := rt.checkOverlap(b, opts.ID); err != nil {
		return err
	}
	if d.Userns.Value != policy.UsernsAuto || hasNamespace(b.spec, specs.UserNamespace) && !b.ownIDs {
		return nil
	}
	b.idsWanted = ledger.DefaultSize
	if d.UsernsSize.IsSet() {
		b.idsWanted = d.UsernsSize.Value
	}
	return nil
}

// confinement takes over what the decision says about limits of namespaces, secure bits and the seal.
func (b *bundle) confinement(opts *CreateOptions) {
	d := b.decision
	if d.Seal.IsSet() {
		opts.Seal = Seal(d.Seal.Value)
	}
	opts.Securebits |= plan.Securebits(d.Securebits.Value)
	for _, kind := range policy.Kinds() {
		limit, ok := d.Limit(kind)
		if !ok {
			continue
		}
		if opts.NamespaceLimits == nil {
			opts.NamespaceLimits = make(map[plan.Namespace]uint32)
		}
		opts.NamespaceLimits[namespaceOfKind[kind]] = limit
	}
}

// namespaceOfKind has the namespaces by the names that a policy, and /proc/sys/user, have for them.
var namespaceOfKind = map[policy.Kind]plan.Namespace{
	"user": plan.UserNS, "mnt": plan.MountNS, "pid": plan.PIDNS, "net": plan.NetworkNS,
	"ipc": plan.IPCNS, "uts": plan.UTSNS, "cgroup": plan.CgroupNS, "time": plan.TimeNS,
}

// processDecision applies what was decided about a container to a process that joins it.
func (c *container) processDecision(p *specs.Process) error {
	if c.rec.Policy == nil {
		return nil
	}
	var d policy.Decision
	if err := json.Unmarshal(c.rec.Policy, &d); err != nil {
		return fault.Wrap(err, "read what the policy has decided", "state.json /policy")
	}
	return policy.ApplyProcess(p, "--process", &d)
}

// encodeDecision puts the decision on record.
func (b *bundle) encodeDecision() ([]byte, error) {
	if b.decision == nil {
		return nil, nil
	}
	data, err := json.Marshal(b.decision)
	if err != nil {
		return nil, fault.Wrap(err, "put what the policy has decided on record", "")
	}
	return data, nil
}

// giveIDs gives the container a user namespace with these IDs. For an ordinary user, who cannot have the owners of files
// shown as others, root is the user, and the rest are the IDs.
func giveIDs(s *specs.Spec, ids store.IDs) {
	if !hasNamespace(s, specs.UserNamespace) {
		addUserNamespace(s)
	}
	maps := func(first uint32, own int) []specs.LinuxIDMapping {
		if os.Geteuid() == 0 {
			return []specs.LinuxIDMapping{{HostID: first, Size: ids.Size}}
		}
		return []specs.LinuxIDMapping{{HostID: uint32(own), Size: 1}, {ContainerID: 1, HostID: first, Size: ids.Size - 1}}
	}
	s.Linux.UIDMappings, s.Linux.GIDMappings = maps(ids.UID, os.Geteuid()), maps(ids.GID, os.Getegid())
}

// allocate gives the container IDs of its own, if it is to have any. They are on record with the ledger before anything
// else is.
func (c *creation) allocate() error {
	if c.idsWanted == 0 {
		return nil
	}
	l, root, err := c.rt.ledger(ledger.Options{Spare: c.opts.SpareIDs})
	if err != nil {
		return err
	}
	defer l.Close()
	self, err := ledger.Self()
	if err != nil {
		return err
	}
	r, err := l.Allocate(ledger.Request{ID: c.opts.ID, StateRoot: root, Size: c.idsWanted, Creator: self})
	if err != nil {
		return err
	}
	c.rec.IDs = store.IDs{UID: r.UID, GID: r.GID, Size: r.Size}
	c.rec.OwnIDs = false
	return c.give(c.rec.IDs)
}

// give is giveIDs, and looks whether the users of the configuration are among them, which could not be known before.
func (b *bundle) give(ids store.IDs) error {
	giveIDs(b.spec, ids)
	err := spec.Validate(b.spec)
	var f *fault.Error
	if errors.As(err, &f) {
		f.Cause = "the user namespace that the container is given has " + strconv.FormatUint(uint64(ids.Size), 10) + " IDs, from 0 on"
		f.Remedy = "give it more: userns_size in a policy, or --userns auto:size=N"
	}
	return err
}

// release gives the container's IDs back, if it has any.
func (rt *Runtime) release(id string, ids store.IDs) error {
	if ids.Size == 0 {
		return nil
	}
	return rt.releaseAny(id)
}

// releaseAny gives back the IDs of a container of which nothing is known.
func (rt *Runtime) releaseAny(id string) error {
	l, root, err := rt.ledger(ledger.Options{})
	if err != nil {
		return err
	}
	defer l.Close()
	return l.Release(id, root)
}

// ledger opens the ledger of IDs, and returns the absolute path of the state directory, by which that knows containers.
func (rt *Runtime) ledger(o ledger.Options) (*ledger.Ledger, string, error) {
	root, err := rt.Root.Absolute()
	if err != nil {
		return nil, "", err
	}
	l, err := ledger.Open(o)
	return l, root, err
}
