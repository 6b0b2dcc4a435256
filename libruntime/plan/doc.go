// Package plan turns a validated config.json into the ordered list of kernel operations that make the
// container, and prints, compares and checks such lists.
//
// A plan is plain data: it can be made without privileges and without touching the machine. The package
// decides everything that can be decided beforehand (what is mounted in which order with which flags,
// which IDs map, which capabilities stay). It must not open, mount, fork or read anything: what it has to
// know about the machine is handed to it in Options.
package plan
