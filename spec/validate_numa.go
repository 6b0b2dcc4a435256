package spec

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

var (
	memoryModes = []specs.MemoryPolicyModeType{
		specs.MpolDefault, specs.MpolBind, specs.MpolInterleave, specs.MpolWeightedInterleave,
		specs.MpolPreferred, specs.MpolPreferredMany, specs.MpolLocal,
	}
	memoryFlags = []specs.MemoryPolicyFlagType{
		specs.MpolFNumaBalancing, specs.MpolFRelativeNodes, specs.MpolFStaticNodes,
	}
)

// validateMemoryPolicy checks linux.memoryPolicy (config-linux.md, "Memory policy") by the rules of
// set_mempolicy(2).
func validateMemoryPolicy(s *specs.Spec) error {
	p := s.Linux.MemoryPolicy
	if p == nil {
		return nil
	}
	if !slices.Contains(memoryModes, p.Mode) {
		return bad("/linux/memoryPolicy/mode", "mode %q is unknown, allowed are %s", p.Mode, choice(memoryModes))
	}
	const nodes = "/linux/memoryPolicy/nodes"
	if why := badList(p.Nodes); why != "" {
		return bad(nodes, "memory node list %q: %s", p.Nodes, why)
	}
	switch p.Mode {
	case specs.MpolDefault, specs.MpolLocal:
		if p.Nodes != "" {
			return bad(nodes, "%s takes no nodes (%q)", p.Mode, p.Nodes)
		}
	case specs.MpolPreferred: // without nodes it means the local one
	default:
		if p.Nodes == "" {
			return bad(nodes, "%s needs at least one node", p.Mode)
		}
	}
	for i, f := range p.Flags {
		origin := fixed(at("linux", "memoryPolicy", "flags", i))
		if !slices.Contains(memoryFlags, f) {
			return bad(origin(), "flag %q is unknown, allowed are %s", f, choice(memoryFlags))
		}
		if p.Nodes == "" {
			return bad(origin(), "%s says how nodes are taken, but the policy has none", f)
		}
		if f != specs.MpolFNumaBalancing && slices.Contains(p.Flags, specs.MpolFStaticNodes) &&
			slices.Contains(p.Flags, specs.MpolFRelativeNodes) {
			return bad(origin(), "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other")
		}
	}
	return nil
}

// validateRdt checks linux.intelRdt (config-linux.md, "IntelRdt").
func validateRdt(s *specs.Spec) error {
	r := s.Linux.IntelRdt
	if r == nil {
		return nil
	}
	// "/" is the default class. Other slashes, and the names that resctrl has in every directory, would lead
	// to somewhere else than a class.
	if id := r.ClosID; id != "" && id != "/" {
		if strings.ContainsAny(id, "/\n\x00") ||
			slices.Contains([]string{".", "..", "info", "mon_data", "mon_groups"}, id) {
			return bad("/linux/intelRdt/closID", "closID %q is not the name of a class", id)
		}
	}
	if err := oneLine(r.L3CacheSchema, fixed("/linux/intelRdt/l3CacheSchema")); err != nil {
		return err
	}
	if err := oneLine(r.MemBwSchema, fixed("/linux/intelRdt/memBwSchema")); err != nil {
		return err
	}
	if r.MemBwSchema != "" && !strings.HasPrefix(r.MemBwSchema, "MB:") {
		return bad("/linux/intelRdt/memBwSchema", "memBwSchema %q does not start with MB:", r.MemBwSchema)
	}
	for i, line := range r.Schemata {
		if err := oneLine(line, func() string { return at("linux", "intelRdt", "schemata", i) }); err != nil {
			return err
		}
	}
	return nil
}
