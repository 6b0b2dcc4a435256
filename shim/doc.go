// Package shim is containerd's way to bailey: a program that serves the task service of containerd's runtime v2, of both
// generations (containerd.task.v2 and v3), and makes, starts and deletes containers by calling libruntime. No program is
// executed for any of that. One process serves one pod.
//
// What containerd wants of the binary:
//
//	-namespace N -address A -publish-binary P -id ID start    start a process that serves, or find it; say where it listens
//	… -bundle B delete                                        remove what a killed shim has left
//	-info                                                     say what the runtime can do
//
// The package decides nothing about containers: what they may and how they are made is libruntime's. Like a command in
// package cli it turns requests into calls and results into responses.
package shim
