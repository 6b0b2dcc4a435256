package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Origin is what has decided a setting.
type Origin struct {
	// What is "defaults", `rule "web"`, "annotation run.bailey.seal" or "flag --seal".
	What string `json:"what"`
	// File and Line are where the policy says it; "" and 0 for annotations and flags.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

// String returns `rule "web" (/etc/bailey/policy.toml:12)`.
func (o Origin) String() string {
	if o.File == "" {
		return o.What
	}
	return o.What + " (" + printable(o.File) + ":" + strconv.Itoa(o.Line) + ")"
}

// Setting is a value and what has decided it.
type Setting[T any] struct {
	Value T `json:"value"`
	// By is empty where nothing has decided it, and Value is then the type's zero. Where it has more than one element, the
	// value is made of what all of them ask for, as a ceiling of capabilities is.
	By []Origin `json:"by,omitempty"`
}

// IsSet reports whether anything has decided it.
func (s Setting[T]) IsSet() bool { return len(s.By) > 0 }

// Why names what has decided it, for errors and tables; "" if nothing has.
func (s Setting[T]) Why() string {
	names := make([]string, 0, len(s.By))
	for _, o := range s.By {
		names = append(names, o.String())
	}
	return strings.Join(names, ", ")
}

// Decision is what holds for one container. Its zero value changes nothing. It survives encoding as JSON, so
// that it can go on record for those processes that join the container later.
type Decision struct {
	Userns Setting[Userns] `json:"userns,omitzero"`
	// UsernsSize is how many IDs the user namespace of UsernsAuto has, and how many may be asked for at most; 0: not said.
	UsernsSize Setting[uint32] `json:"usernsSize,omitzero"`
	// Namespaces are the limits for nested namespaces. Use Limit to ask for one.
	Namespaces      map[Kind]Setting[Limit]  `json:"namespaces,omitempty"`
	Capabilities    Setting[Ceiling]         `json:"capabilities,omitzero"`
	Seccomp         Setting[Seccomp]         `json:"seccomp,omitzero"`
	NoNewPrivileges Setting[NoNewPrivileges] `json:"noNewPrivileges,omitzero"`
	Securebits      Setting[Securebits]      `json:"securebits,omitzero"`
	Seal            Setting[Seal]            `json:"seal,omitzero"`
	Overlap         Setting[Overlap]         `json:"overlap,omitzero"`
	Annotations     Setting[Annotations]     `json:"annotations,omitzero"`
}

// IsZero reports whether the decision changes nothing because nothing was decided.
func (d *Decision) IsZero() bool {
	return !d.Userns.IsSet() && !d.UsernsSize.IsSet() && len(d.Namespaces) == 0 && !d.Capabilities.IsSet() &&
		!d.Seccomp.IsSet() && !d.NoNewPrivileges.IsSet() && !d.Securebits.IsSet() && !d.Seal.IsSet() &&
		!d.Overlap.IsSet() && !d.Annotations.IsSet()
}

// Limit returns how many namespaces of a kind the container may create; ok is false where there is no limit.
func (d *Decision) Limit(kind Kind) (limit uint32, ok bool) {
	s, ok := d.Namespaces[kind]
	if !ok || s.Value == Unlimited {
		return 0, false
	}
	return uint32(s.Value), true
}

// override takes over what r sets, as a later rule does.
func (d *Decision) override(r *Decision) {
	take(&d.Userns, r.Userns)
	take(&d.UsernsSize, r.UsernsSize)
	for kind, limit := range r.Namespaces {
		d.limit(kind, limit)
	}
	take(&d.Capabilities, r.Capabilities)
	take(&d.Seccomp, r.Seccomp)
	take(&d.NoNewPrivileges, r.NoNewPrivileges)
	take(&d.Securebits, r.Securebits)
	take(&d.Seal, r.Seal)
	take(&d.Overlap, r.Overlap)
	take(&d.Annotations, r.Annotations)
}

func take[T any](to *Setting[T], from Setting[T]) {
	if from.IsSet() {
		*to = from
	}
}

// limit sets a limit in a map of d's own: those of rules are shared by all decisions.
func (d *Decision) limit(kind Kind, s Setting[Limit]) {
	if d.Namespaces == nil {
		d.Namespaces = make(map[Kind]Setting[Limit], len(kinds))
	}
	d.Namespaces[kind] = s
}

// tighten takes over what other sets where d is silent or has less isolation.
func (d *Decision) tighten(other *Decision) {
	raise(&d.Userns, other.Userns, usernsOrder)
	raise(&d.Seccomp, other.Seccomp, seccompOrder)
	raise(&d.NoNewPrivileges, other.NoNewPrivileges, noNewPrivilegesOrder)
	raise(&d.Seal, other.Seal, sealOrder)
	raise(&d.Overlap, other.Overlap, overlapOrder)
	raise(&d.Annotations, other.Annotations, annotationsOrder)
	if s := other.UsernsSize; s.IsSet() && (!d.UsernsSize.IsSet() || s.Value < d.UsernsSize.Value) {
		d.UsernsSize = s
	}
	for kind, limit := range other.Namespaces {
		d.lower(kind, limit)
	}
	d.restrict(other.Capabilities)
	d.addSecurebits(other.Securebits)
}

// raise takes a choice that comes later in its order.
func raise[T ~string](to *Setting[T], from Setting[T], order []T) {
	if from.IsSet() && (!to.IsSet() || rank(order, from.Value) > rank(order, to.Value)) {
		*to = from
	}
}

// lower takes a limit that is lower than the one there is.
func (d *Decision) lower(kind Kind, s Setting[Limit]) {
	old, ok := d.Namespaces[kind]
	if !ok || s.Value != Unlimited && (old.Value == Unlimited || s.Value < old.Value) {
		d.limit(kind, s)
	}
}

// restrict intersects the ceiling with another.
func (d *Decision) restrict(s Setting[Ceiling]) {
	d.Capabilities = combine(d.Capabilities, s, Ceiling.and, Ceiling.equal)
}

// addSecurebits adds secure bits.
func (d *Decision) addSecurebits(s Setting[Securebits]) {
	d.Securebits = combine(d.Securebits, s,
		func(a, b Securebits) Securebits { return a | b }, func(a, b Securebits) bool { return a == b })
}

// combine makes one setting of two. What one of them alone explains is that one's.
func combine[T any](a, b Setting[T], both func(T, T) T, equal func(T, T) bool) Setting[T] {
	switch {
	case !b.IsSet():
		return a
	case !a.IsSet():
		return b
	}
	s := Setting[T]{Value: both(a.Value, b.Value)}
	switch {
	case equal(s.Value, a.Value):
		s.By = a.By
	case equal(s.Value, b.Value):
		s.By = b.By
	default:
		s.By = slices.Concat(a.By, b.By)
	}
	return s
}

// Row is a line of the table that explains a decision.
type Row struct {
	Setting string `json:"setting"`
	Value   string `json:"value"`
	// By is empty where nothing has decided it, and Value is bailey's own default.
	By []Origin `json:"by,omitempty"`
}

// Why names what has decided the setting.
func (r Row) Why() string {
	if len(r.By) == 0 {
		return "nothing (default)"
	}
	return Setting[string]{By: r.By}.Why()
}

// Rows returns the decision setting by setting, in the order of docs/policy.md. Limits that nothing has set are
// one row.
func (d *Decision) Rows() []Row {
	rows := []Row{
		row("userns", d.Userns, config),
		row("userns_size", d.UsernsSize, strconv.Itoa(DefaultUsernsSize)),
	}
	if len(d.Namespaces) == 0 {
		rows = append(rows, Row{Setting: "namespaces", Value: config})
	}
	for _, kind := range slices.SortedFunc(maps.Keys(d.Namespaces), byOrder) {
		rows = append(rows, row("namespaces."+string(kind), d.Namespaces[kind], config))
	}
	return append(rows,
		row("capabilities", d.Capabilities, config),
		row("seccomp", d.Seccomp, config),
		row("no_new_privileges", d.NoNewPrivileges, config),
		row("securebits", d.Securebits, ""),
		row("seal", d.Seal, string(SealNever)),
		row("overlap", d.Overlap, string(OverlapAllow)),
		row("annotations", d.Annotations, string(AnnotationsTighten)),
	)
}

func byOrder(a, b Kind) int { return slices.Index(kinds, a) - slices.Index(kinds, b) }

func row[T any](name string, s Setting[T], unset string) Row {
	r := Row{Setting: name, Value: unset, By: s.By}
	if s.IsSet() {
		r.Value = fmt.Sprint(s.Value)
	}
	if r.Value == "" {
		r.Value = "none"
	}
	return r
}
