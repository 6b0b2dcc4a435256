package plan

import (
	"errors"
	"slices"
	"testing"

	"github.com/bailey-oci/bailey/internal/fault"
)

func TestSecurebits(t *testing.T) {
	// The numbers are the kernel's (include/uapi/linux/securebits.h).
	all := []string{"noroot", "noroot_locked", "no_setuid_fixup", "no_setuid_fixup_locked", "keep_caps_locked",
		"no_cap_ambient_raise", "no_cap_ambient_raise_locked"}
	got, err := ParseSecurebits(all)
	if err != nil || got != 0xef || !slices.Equal(got.Names(), all) {
		t.Errorf("%#x %v %v", got, got.Names(), err)
	}
	for _, name := range []string{"", "keep_caps", "NOROOT", "noroot "} {
		var f *fault.Error
		if got, err := ParseSecurebits([]string{"noroot", name}); got != 0 || !errors.As(err, &f) {
			t.Errorf("%q: %#x %v", name, got, err)
		}
	}
	if got, err := ParseSecurebits(nil); got != 0 || err != nil || got.suffix() != "" {
		t.Error(got, err)
	}
}
