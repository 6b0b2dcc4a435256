// Package cgroup makes, limits, freezes, empties and removes the control groups of a container, on
// cgroup v1, v2 and the hybrid layout, with the cgroupfs driver.
//
// It turns linux.resources of config.json into writes to control files, and every limit is in place
// before the first process joins. A limit that cannot be set is an error that names the field and the
// missing controller; nothing is dropped in silence.
//
// The package must not start, wait for or otherwise know about the container's process, must not
// touch anything outside the cgroups that it computed or loaded, and must not import packages with a
// noticeable start-up cost: it stands on the path of every start. That is why the control files are
// written here and not through github.com/opencontainers/cgroups, whose import (it links D-Bus, net
// and the Go parser) costs a process more than a millisecond at start; the tests use that library as
// the reference to compare with.
//
// The systemd driver, which needs D-Bus, belongs into a package of its own below this one.
package cgroup
