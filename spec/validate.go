package spec

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
)

// Validate checks s against the runtime specification 1.3.0 and the limits of the kernel's interfaces.
// It returns the first violation as a *fault.Error of one line whose Origin is the JSON pointer of the
// field. It reads nothing but s and changes nothing.
//
// A process may be missing: the specification asks for one only when the container is started
// (config.md, "Process"). Sections of other platforms are not looked at. What the specification wants to
// be a warning is not an error here; see Warnings.
func Validate(s *specs.Spec) error {
	for _, check := range []func(*specs.Spec) error{
		validateVersion,
		validateRoot,
		validateNamespaces,
		validateIDMaps,
		validateNames,
		validateTimeOffsets,
		validateMounts,
		validateHooks,
		validateAnnotations,
		validateSysctls,
		validateDevices,
		validateNetDevices,
		validateSeccomp,
		validateRdt,
		validateMemoryPolicy,
		validateLinuxRest,
	} {
		if err := check(s); err != nil {
			return err
		}
	}
	if s.Linux.Resources != nil {
		if err := validateResources(s.Linux.Resources, "/linux/resources"); err != nil {
			return err
		}
	}
	if s.Process != nil {
		return ValidateProcess(s.Process, s)
	}
	return nil
}

// bad returns the error for the field at origin.
func bad(origin, format string, args ...any) error {
	return fault.New(fmt.Sprintf(format, args...), origin)
}

// because adds to an error why that is so, and what to do about it.
func because(err error, cause, remedy string) error {
	var f *fault.Error
	if errors.As(err, &f) {
		f.Cause, f.Remedy = cause, remedy
	}
	return err
}

// at returns the JSON pointer (RFC 6901) of the given object names and list indices, printable.
func at(parts ...any) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteByte('/')
		switch p := p.(type) {
		case int:
			b.WriteString(strconv.Itoa(p))
		case string:
			b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(p))
		}
	}
	return printable(b.String())
}

// printable returns s with escapes in place of its line breaks and other control characters. The names in a
// config.json are free, and an error must stay one line whatever they are.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) < 0 {
		return s
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

// noNUL refuses a string that the kernel would see cut short. The pointer is built only for an error.
func noNUL(value string, origin func() string) error {
	if i := strings.IndexByte(value, 0); i >= 0 {
		return bad(origin(), "%q has a NUL byte at offset %d, which the kernel takes for its end", value, i)
	}
	return nil
}

// oneLine refuses a string that would become two lines, or a shorter one, in a kernel file.
func oneLine(value string, origin func() string) error {
	if strings.ContainsAny(value, "\n\x00") {
		return bad(origin(), "%q has a line break or NUL byte, which the kernel takes for its end", value)
	}
	return nil
}

// absolute refuses a path that does not start with a slash.
func absolute(path string, origin func() string) error {
	switch {
	case path == "":
		return bad(origin(), "the path is missing")
	case path[0] != '/':
		return bad(origin(), "path %q is relative, it must start with /", path)
	}
	return noNUL(path, origin)
}

// fixed returns origin as a function, for those that want one.
func fixed(origin string) func() string { return func() string { return origin } }

// choice formats the allowed values of a field.
func choice[T ~string](allowed []T) string {
	var b strings.Builder
	for i, a := range allowed {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(a))
	}
	return b.String()
}

// validateVersion asks for a semantic version (config.md, "Specification version") of major version 1.
// A newer minor version adds only fields that may be ignored.
func validateVersion(s *specs.Spec) error {
	const origin = "/ociVersion"
	if s.Version == "" {
		return bad(origin, "ociVersion is missing")
	}
	// Major, minor, patch; then optionally -prerelease and +build, whose text means nothing here.
	core := s.Version
	if i := strings.IndexAny(core, "-+"); i >= 0 {
		rest := core[i+1:]
		core = core[:i]
		if rest == "" || strings.Trim(rest, "-+.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return bad(origin, "ociVersion %q is not a semantic version such as 1.3.0", s.Version)
		}
	}
	numbers := strings.Split(core, ".")
	for _, n := range numbers {
		if _, err := strconv.ParseUint(n, 10, 32); err != nil || len(n) > 1 && n[0] == '0' {
			numbers = nil
			break
		}
	}
	if len(numbers) != 3 {
		return bad(origin, "ociVersion %q is not a semantic version such as 1.3.0", s.Version)
	}
	if numbers[0] != "1" {
		return bad(origin, "ociVersion %q is not supported, only versions 1.x are", s.Version)
	}
	return nil
}

func validateRoot(s *specs.Spec) error {
	if s.Root == nil {
		return bad("/root", "root is missing")
	}
	if s.Root.Path == "" {
		return bad("/root/path", "root.path is missing")
	}
	return noNUL(s.Root.Path, fixed("/root/path"))
}

func validateAnnotations(s *specs.Spec) error {
	// config.md, "Annotations": keys must not be empty.
	if v, ok := s.Annotations[""]; ok {
		return bad("/annotations", "the annotation %q has an empty name", v)
	}
	return nil
}

// validateHooks checks paths and timeouts (config.md, "POSIX-platform Hooks").
func validateHooks(s *specs.Spec) error {
	if s.Hooks == nil {
		return nil
	}
	for _, kind := range []struct {
		name  string
		hooks []specs.Hook
	}{
		{"prestart", s.Hooks.Prestart}, //nolint:staticcheck // deprecated, and still in use
		{"createRuntime", s.Hooks.CreateRuntime},
		{"createContainer", s.Hooks.CreateContainer},
		{"startContainer", s.Hooks.StartContainer},
		{"poststart", s.Hooks.Poststart},
		{"poststop", s.Hooks.Poststop},
	} {
		for i, h := range kind.hooks {
			if err := absolute(h.Path, func() string { return at("hooks", kind.name, i, "path") }); err != nil {
				return err
			}
			if h.Timeout != nil && *h.Timeout <= 0 {
				return bad(at("hooks", kind.name, i, "timeout"),
					"timeout %d is not allowed, it must be at least 1 second", *h.Timeout)
			}
			if err := noNULs(h.Args, func(j int) string { return at("hooks", kind.name, i, "args", j) }); err != nil {
				return err
			}
			if err := noNULs(h.Env, func(j int) string { return at("hooks", kind.name, i, "env", j) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// noNULs is noNUL for every string of a list.
func noNULs(values []string, origin func(int) string) error {
	for i, v := range values {
		if err := noNUL(v, func() string { return origin(i) }); err != nil {
			return err
		}
	}
	return nil
}
