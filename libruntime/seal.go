package libruntime

import (
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/userns"
	"github.com/bailey-oci/bailey/libruntime/idmap"
	"github.com/bailey-oci/bailey/libruntime/plan"
)

// Seal says whether a payload is sealed: put into a second user and mount namespace, in which masks and read-only
// paths cannot be lifted. The empty value is SealNever.
type Seal string

// The values of Seal. SealAuto seals where the payload loses nothing by it that its configuration asks for
// (plan.SealFits).
const (
	SealNever  Seal = "never"
	SealAuto   Seal = "auto"
	SealAlways Seal = "always"
)

// ParseSeal returns the value that a word stands for.
func ParseSeal(word string) (Seal, error) {
	switch s := Seal(word); s {
	case "":
		return SealNever, nil
	case SealNever, SealAuto, SealAlways:
		return s, nil
	}
	return "", &fault.Error{Step: "seal the container: " + strconv.Quote(word) + " is none of auto, always and never", Origin: "--seal"}
}

// sealed returns whether a container is sealed, and why not where that was not the caller's decision.
func (opts *CreateOptions) sealed(config *specs.Spec) (sealed bool, reason string) {
	switch {
	case opts.Seal == SealAlways:
		return true, ""
	case opts.Seal != SealAuto:
		return false, ""
	case opts.NoPivot:
		return false, "the root is entered without pivot_root"
	}
	return plan.SealFits(config)
}

// confine sets what a plan depends on for limits of namespaces and the seal.
func confine(o *plan.Options, s *specs.Spec, opts *CreateOptions) {
	o.Securebits, o.NamespaceLimits = opts.Securebits, opts.NamespaceLimits
	o.Seal, _ = opts.sealed(s)
	o.SeccompDenies = o.DeniedByFilter(ownUserNamespace(s))
	if o.Seal {
		o.UIDs, o.GIDs = sharedIDs(s)
	}
}

// ownUserNamespace reports whether a container gets a new user namespace.
func ownUserNamespace(s *specs.Spec) bool {
	for _, ns := range s.Linux.Namespaces {
		if ns.Type == specs.UserNamespace {
			return ns.Path == ""
		}
	}
	return false
}

// sharedIDs returns the maps of the user namespace that a container shares with others; none for that of the machine,
// and where they cannot be known.
func sharedIDs(s *specs.Spec) (uids, gids []plan.IDMapping) {
	pid := 0
	for _, ns := range s.Linux.Namespaces {
		if ns.Type != specs.UserNamespace {
			continue
		}
		// There is no way to ask a namespace; a process in it can be asked.
		number, ok := strings.CutPrefix(strings.TrimSuffix(ns.Path, "/ns/user"), "/proc/")
		n, err := strconv.ParseUint(number, 10, 31)
		if !ok || err != nil || n == 0 {
			return nil, nil
		}
		pid = int(n)
	}
	if pid == 0 {
		if !userns.Other() {
			return nil, nil
		}
		pid = os.Getpid()
	}
	u, g, err := idmap.Of(pid)
	if err != nil {
		return nil, nil
	}
	convert := func(maps []specs.LinuxIDMapping) []plan.IDMapping {
		list := make([]plan.IDMapping, 0, len(maps))
		for _, m := range maps {
			list = append(list, plan.IDMapping{Container: m.ContainerID, Host: m.HostID, Size: m.Size})
		}
		return list
	}
	return convert(u), convert(g)
}
