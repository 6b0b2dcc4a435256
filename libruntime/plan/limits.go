package plan

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/spec"
)

// NamespaceLimit is how many namespaces of one kind each user of a user namespace may make, counted as
// namespaces(7) does: with all that exist, and those of namespaces below charged to who made them.
type NamespaceLimit struct {
	Kind Namespace
	Most uint32
}

// Key is the name of the limit below /proc/sys.
func (l NamespaceLimit) Key() string { return "user/max_" + l.Kind.names()[0] + "_namespaces" }

func (l NamespaceLimit) String() string {
	return l.Kind.String() + " " + strconv.FormatUint(uint64(l.Most), 10)
}

// maxNamespaces is the largest limit that the kernel takes.
const maxNamespaces = 1<<31 - 1

// namespaceLimits returns the limits asked for, in the order of namespaceKinds.
func namespaceLimits(asked map[Namespace]uint32) ([]NamespaceLimit, error) {
	limits := make([]NamespaceLimit, 0, len(namespaceKinds))
	for _, k := range namespaceKinds {
		most, ok := asked[k.kind]
		if !ok {
			continue
		}
		if most > maxNamespaces {
			return nil, &fault.Error{Step: "limit " + k.file + " namespaces to " + strconv.FormatUint(uint64(most), 10),
				Err: errInvalid, Remedy: "name at most " + strconv.Itoa(maxNamespaces)}
		}
		limits = append(limits, NamespaceLimit{k.kind, most})
	}
	if len(limits) != len(asked) {
		return nil, &fault.Error{Step: "limit namespaces", Err: errInvalid, Cause: "a limit is for no kind of namespace that there is"}
	}
	return limits, nil
}

// askedLimits returns the limits that the caller and linux.sysctl ask for, the lower ones of both.
func (c *compiler) askedLimits() map[Namespace]uint32 {
	asked := make(map[Namespace]uint32)
	maps.Copy(asked, c.o.NamespaceLimits)
	for key, value := range c.spec.Linux.Sysctl {
		if kind, most, ok := limitOf(key, value); ok {
			if given, both := asked[kind]; both {
				most = min(most, given)
			}
			asked[kind] = most
		}
	}
	return asked
}

// limitOf returns the limit that a kernel parameter of config.json is, if it is one.
func limitOf(key, value string) (kind Namespace, most uint32, ok bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
	for _, k := range namespaceKinds {
		if err == nil && spec.SysctlPath(key) == (NamespaceLimit{Kind: k.kind}).Key() {
			return k.kind, uint32(n), true
		}
	}
	return 0, 0, false
}

// limitNamespaces adds the limits of a container that is not sealed. They are written when everything that
// bailey itself makes is made, the hooks of the runtime included, and before anything of the image runs: a
// limit of 0 then denies new namespaces without being in the way of the container's own.
//
// Only in a user namespace of its own has the container limits of its own. In one that others share they would be
// the others' as well; in the machine's they would be everybody's. There the filter denies the kinds
// (seccomp.DenyNamespaces), which cannot count.
func (c *compiler) limitNamespaces() error {
	if len(c.o.NamespaceLimits) == 0 {
		return nil
	}
	limits, err := namespaceLimits(c.askedLimits())
	if err != nil {
		return err
	}
	if c.ns.made&UserNS != 0 {
		c.add(LimitNamespaces{limits}, "")
		return nil
	}
	more := slices.IndexFunc(limits, func(l NamespaceLimit) bool { return l.Most > 0 })
	if more >= 0 {
		return &fault.Error{Step: "limit " + limits[more].Kind.String() + " namespaces to " + strconv.FormatUint(uint64(limits[more].Most), 10),
			Err: errNotPermitted, Origin: "/linux/namespaces",
			Cause: "the kernel counts by user namespace, and the container has none of its own; without one they can be " +
				"denied by a system-call filter, which does not count",
			Remedy: `limit them to 0, add {"type": "user"} to linux.namespaces, or seal the container`}
	}
	if c.denied() == 0 {
		return &fault.Error{Step: "deny namespaces", Err: errMissing, Cause: "the system-call filter that denies them has not been made"}
	}
	return nil
}

// denied are the kinds of namespaces that the system-call filter denies.
func (c *compiler) denied() Namespace {
	if len(c.o.SeccompProgram) == 0 {
		return 0
	}
	return c.o.SeccompDenies
}

// DeniedByFilter returns the kinds of namespaces that only a system-call filter can deny to the container: those
// with a limit, where the kernel has no limits for it alone.
func (o *Options) DeniedByFilter(hasOwnUserNamespace bool) Namespace {
	var kinds Namespace
	if !hasOwnUserNamespace && !o.Seal {
		for kind := range o.NamespaceLimits {
			kinds |= kind
		}
	}
	return kinds
}
