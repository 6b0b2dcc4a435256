// Package spec reads, checks and generates config.json, the configuration of a container in the form
// of the OCI runtime specification 1.3.0 (types: github.com/opencontainers/runtime-spec/specs-go).
//
// Three steps, each usable alone:
//
//   - Load and Parse decode strictly: a duplicate key, a wrong type, trailing bytes or invalid UTF-8 are
//     errors. Fields that the specification does not know are ignored, as it demands;
//     UnknownFields lists them for those who want to be warned.
//   - Validate checks a decoded Spec against the rules of the specification and the limits of the
//     kernel interface, so that nothing is begun that is bound to fail. ValidateProcess does the same
//     for one process, that of the container or one given to exec.
//   - Example, ExampleRootless and ExampleHardened return configurations to start from.
//
// Every error is a *fault.Error that names the field by its JSON pointer.
//
// The package must not look at the machine it runs on: no file but the one that it was asked to read,
// no knowledge of the kernel version, of cgroup or LSM, of what a namespace given by path holds. What depends
// on those is checked where the plan is made. (The page size, which bounds ID maps, is the one exception.)
// It must not change a Spec either: what Validate accepts is used as written. Whoever fills in a Spec by
// policy, ID maps for one, does so before Validate.
package spec
