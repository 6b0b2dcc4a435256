package plan

import (
	"strings"

	"github.com/bailey-oci/bailey/internal/fault"
)

// Securebits are SECBIT_* flags of capabilities(7), without SECBIT_KEEP_CAPS, which no execve(2) leaves set.
type Securebits uint8

// securebitNames are the names of the bits, by the kernel's numbers (include/uapi/linux/securebits.h); "" for the one
// that cannot be asked for.
var securebitNames = [...]string{"noroot", "noroot_locked", "no_setuid_fixup", "no_setuid_fixup_locked", "",
	"keep_caps_locked", "no_cap_ambient_raise", "no_cap_ambient_raise_locked"}

const secNoRoot Securebits = 1 << 0

// ParseSecurebits returns the set of the bits named: noroot, no_setuid_fixup, no_cap_ambient_raise, each of them
// and keep_caps with "_locked" behind it.
func ParseSecurebits(names []string) (Securebits, error) {
	var set Securebits
	for _, name := range names {
		bit := Securebits(0)
		for n, known := range securebitNames {
			if known == name && name != "" {
				bit = 1 << n
			}
		}
		if bit == 0 {
			return 0, &fault.Error{Step: "set the securebit " + name, Err: errInvalid,
				Remedy: "name one of " + strings.Join(Securebits(1<<len(securebitNames)-1).Names(), ", ")}
		}
		set |= bit
	}
	return set, nil
}

// Names returns the names of the bits that are set.
func (s Securebits) Names() []string {
	var names []string
	for n, name := range securebitNames {
		if s>>n&1 != 0 && name != "" {
			names = append(names, name)
		}
	}
	return names
}

// suffix describes the bits behind something else, if there are any.
func (s Securebits) suffix() string {
	if s == 0 {
		return ""
	}
	return "; securebits " + strings.Join(s.Names(), " ")
}

// warnSecurebits says what the payload's exec takes from it: with noroot, root is a user like any other there.
func (c *compiler) warnSecurebits() {
	lost := c.caps.permitted &^ c.caps.ambient
	if c.o.Securebits&secNoRoot == 0 || c.process.User.UID != 0 || lost == 0 {
		return
	}
	c.warnings = append(c.warnings, "config.json "+c.field("/capabilities/permitted")+": root has no "+
		strings.Join(CapabilityNames(lost), ", ")+" after its exec, because of the securebit noroot; "+
		"what is in the ambient set stays")
}
