package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bailey-oci/bailey/libruntime/plan"
)

// The values of the settings that are a choice. The order of each list is from less isolation to more; ""
// stands for what is not set, and is as good as the first.

// Userns is whether a container has a user namespace.
type Userns string

// Values of Userns.
const (
	// UsernsConfig leaves it to config.json.
	UsernsConfig Userns = "config"
	// UsernsAuto gives a container without a user namespace one with IDs of its own.
	UsernsAuto Userns = "auto"
	// UsernsRequire refuses a container without a user namespace.
	UsernsRequire Userns = "require"
)

var usernsOrder = []Userns{UsernsConfig, UsernsAuto, UsernsRequire}

// Seccomp is whether a container has a system-call filter.
type Seccomp string

// Values of Seccomp.
const (
	SeccompConfig  Seccomp = "config"
	SeccompRequire Seccomp = "require"
)

var seccompOrder = []Seccomp{SeccompConfig, SeccompRequire}

// NoNewPrivileges is whether processes of a container have no_new_privs (prctl(2)) set.
type NoNewPrivileges string

// Values of NoNewPrivileges.
const (
	NoNewPrivilegesConfig NoNewPrivileges = "config"
	// NoNewPrivilegesSet sets it where config.json does not.
	NoNewPrivilegesSet NoNewPrivileges = "set"
	// NoNewPrivilegesRequire refuses a process without it.
	NoNewPrivilegesRequire NoNewPrivileges = "require"
)

var noNewPrivilegesOrder = []NoNewPrivileges{NoNewPrivilegesConfig, NoNewPrivilegesSet, NoNewPrivilegesRequire}

// Seal is whether a container's payload is sealed: put into a second user and mount namespace, whose limits it
// cannot lift.
type Seal string

// Values of Seal.
const (
	SealNever Seal = "never"
	// SealAuto seals where nothing that config.json grants is lost by it.
	SealAuto Seal = "auto"
	// SealAlways seals, or refuses the container.
	SealAlways Seal = "always"
)

var sealOrder = []Seal{SealNever, SealAuto, SealAlways}

// Overlap is what is done about an ID mapping of config.json that overlaps with another container's.
type Overlap string

// Values of Overlap.
const (
	OverlapAllow  Overlap = "allow"
	OverlapReport Overlap = "report"
	OverlapRefuse Overlap = "refuse"
)

var overlapOrder = []Overlap{OverlapAllow, OverlapReport, OverlapRefuse}

// Annotations is what run.bailey.* annotations may ask for. Not set it is AnnotationsTighten.
type Annotations string

// Values of Annotations.
const (
	// AnnotationsAllow: for less isolation, too, down to what the policy enforces; and for IDs.
	AnnotationsAllow Annotations = "allow"
	// AnnotationsTighten: for more isolation.
	AnnotationsTighten Annotations = "tighten"
	// AnnotationsIgnore: for nothing. They are not even read.
	AnnotationsIgnore Annotations = "ignore"
)

var annotationsOrder = []Annotations{AnnotationsAllow, AnnotationsTighten, AnnotationsIgnore}

// rank returns the place of v in the order of a choice.
func rank[T ~string](order []T, v T) int { return max(0, slices.Index(order, v)) }

// Limit is how many namespaces of a kind a container may create: 0 to MaxLimit.
type Limit int64

const (
	// Unlimited leaves the number to the kernel's own limits.
	Unlimited Limit = -1
	// MaxLimit is the largest number that user.max_*_namespaces takes (an int).
	MaxLimit Limit = 1<<31 - 1
)

// String returns the number, or "config" for Unlimited.
func (l Limit) String() string {
	if l == Unlimited {
		return config
	}
	return strconv.FormatInt(int64(l), 10)
}

// config is the value of every setting that leaves things as config.json has them.
const config = "config"

// Kind is a kind of namespace, by its name in /proc/PID/ns.
type Kind string

// kinds are those that the kernel has a limit for (user.max_KIND_namespaces), in the order of docs/policy.md.
var kinds = []Kind{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"}

// Kinds returns the kinds of namespaces that can be limited.
func Kinds() []Kind { return slices.Clone(kinds) }

// parseLimits reads "user=0,net=2".
func parseLimits(s string) (map[Kind]Limit, error) {
	limits := make(map[Kind]Limit)
	for _, item := range splitList(s) {
		kind, number, _ := strings.Cut(item, "=")
		if !slices.Contains(kinds, Kind(kind)) {
			return nil, fmt.Errorf("%q is not a kind of namespace with its limit, such as user=0; the kinds are %s", item, list(kinds))
		}
		if _, ok := limits[Kind(kind)]; ok {
			return nil, fmt.Errorf("%s stands twice", kind)
		}
		n, err := strconv.ParseUint(number, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("the limit %q of %s is not a number from 0 to %d", number, kind, MaxLimit)
		}
		limits[Kind(kind)] = Limit(n)
	}
	return limits, nil
}

// maxIDs is how many IDs a user namespace can have: all but the last of 32 bits, which means "none".
const maxIDs = 1<<32 - 1

// DefaultUsernsSize is how many IDs a user namespace of UsernsAuto has where nothing says how many: what images are
// made for, and what distributions grant a user.
const DefaultUsernsSize = 65536

// Ceiling is the capabilities that a container may have at most.
type Ceiling struct {
	// Limited: there is a ceiling. Otherwise config.json decides alone.
	Limited bool `json:"limited"`
	// Allowed are the names below it, in the kernel's order.
	Allowed []string `json:"allowed,omitempty"`
}

// String returns the names with commas between them, "none" or "config".
func (c Ceiling) String() string {
	switch {
	case !c.Limited:
		return config
	case len(c.Allowed) == 0:
		return "none"
	}
	return strings.Join(c.Allowed, ",")
}

// newCeiling returns a ceiling of these names.
func newCeiling(names []string) (Ceiling, error) {
	var set uint64
	for _, name := range names {
		n, ok := plan.CapabilityNumber(name)
		if !ok {
			hint := `, such as "CAP_KILL"`
			upper := "CAP_" + strings.TrimPrefix(strings.ToUpper(name), "CAP_")
			if _, ok := plan.CapabilityNumber(upper); ok {
				hint = fmt.Sprintf("; is %q meant?", upper)
			}
			return Ceiling{}, fmt.Errorf("%q is not a capability by its name in config.json%s", name, hint)
		}
		if set&(1<<n) != 0 {
			return Ceiling{}, fmt.Errorf("%s stands twice", name)
		}
		set |= 1 << n
	}
	return Ceiling{Limited: true, Allowed: plan.CapabilityNames(set)}, nil
}

// and returns what both ceilings allow.
func (c Ceiling) and(other Ceiling) Ceiling {
	if !c.Limited {
		return other
	}
	if !other.Limited {
		return c
	}
	both := Ceiling{Limited: true}
	for _, name := range c.Allowed {
		if slices.Contains(other.Allowed, name) {
			both.Allowed = append(both.Allowed, name)
		}
	}
	return both
}

func (c Ceiling) equal(other Ceiling) bool {
	return c.Limited == other.Limited && slices.Equal(c.Allowed, other.Allowed)
}

// Securebits is a set of secure bits with the numbers of PR_SET_SECUREBITS (linux/securebits.h).
type Securebits uint32

// securebits are the names by bit.
var securebits = []string{
	"noroot", "noroot_locked", "no_setuid_fixup", "no_setuid_fixup_locked",
	"keep_caps", "keep_caps_locked", "no_cap_ambient_raise", "no_cap_ambient_raise_locked",
}

// keepCaps lets a process keep its capabilities when it gives root up. The kernel clears it at every execve(2), so
// only its lock means anything to a payload.
const keepCaps = 4

// newSecurebits returns the set of these names.
func newSecurebits(names []string) (Securebits, error) {
	var set Securebits
	for _, name := range names {
		bit := slices.Index(securebits, name)
		if bit < 0 || bit == keepCaps {
			allowed := slices.Delete(slices.Clone(securebits), keepCaps, keepCaps+1)
			return 0, fmt.Errorf("%q is not one of %s", name, list(allowed))
		}
		if set&(1<<bit) != 0 {
			return 0, fmt.Errorf("%s stands twice", name)
		}
		set |= 1 << bit
	}
	for bit := 0; bit < len(securebits); bit += 2 {
		if set>>bit&3 == 2 && bit != keepCaps {
			return 0, fmt.Errorf("%[1]s_locked without %[1]s would lock it while it is off", securebits[bit])
		}
	}
	return set, nil
}

// String returns the names with commas between them; "" for none.
func (s Securebits) String() string {
	var names []string
	for bit, name := range securebits {
		if s&(1<<bit) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// MarshalText writes the names, as String does.
func (s Securebits) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText has written.
func (s *Securebits) UnmarshalText(text []byte) (err error) {
	*s, err = newSecurebits(splitList(string(text)))
	return err
}

// splitList splits a list with commas; "" is the empty one.
func splitList(s string) []string {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	items := strings.Split(s, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}

// parseUserns reads "config", "auto" or "auto:size=N". size is 0 where none is given.
func parseUserns(s string) (v Userns, size uint32, err error) {
	name, number, sized := strings.Cut(s, ":size=")
	if v = Userns(name); v != UsernsAuto && (v != UsernsConfig || sized) {
		return "", 0, errors.New("it is not config, auto or auto:size=N")
	}
	if sized {
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || n == 0 || n > maxIDs {
			return "", 0, fmt.Errorf("the size %q is not a number of IDs from 1 to %d", number, uint32(maxIDs))
		}
		size = uint32(n)
	}
	return v, size, nil
}

// parseSeal reads a value of Seal.
func parseSeal(s string) (Seal, error) {
	if !slices.Contains(sealOrder, Seal(s)) {
		return "", fmt.Errorf("it is not one of %s", list(sealOrder))
	}
	return Seal(s), nil
}

// list formats allowed values.
func list[T ~string](values []T) string {
	var b strings.Builder
	for i, v := range values {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(v))
	}
	return b.String()
}
