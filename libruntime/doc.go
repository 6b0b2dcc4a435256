// Package libruntime is a container's life: create, start, exec, kill, pause, update and delete, with the
// record of it. It is the library under the command line and under the containerd shim.
//
// It reads config.json through spec, has the plan made by libruntime/plan and executed by nsexec, and does
// itself what belongs to the caller's side: opening what the plan names on the host (host_actions.go),
// answering what the container's init asks for (asked_actions.go), and keeping the record in
// libruntime/store, which is always written before the side effect that it describes.
//
// A failed operation leaves nothing behind: no process, cgroup, mount or state directory. What a kill -9
// leaves, Delete with force removes.
//
// The package must not parse command lines or print; warnings go to Runtime.Warn.
package libruntime
