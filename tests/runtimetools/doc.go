// Package runtimetools runs the OCI runtime-tools validation programs against bailey and compares what
// they say with a checked-in list (expected.txt), in both directions: a program that fails where it
// should pass is a failure, and so is one that passes where the list says that it cannot.
//
// The programs come from the module in tests/conformance. They spend their time asleep, so several run at
// once; but the cgroup names of some are fixed, so those run one at a time, and no two runs may share a
// machine.
//
//	go test ./tests/runtimetools                          bin/bailey, all views
//	RUNTIME=/usr/sbin/runc go test ./tests/runtimetools   another runtime
//	go test ./tests/runtimetools -args -results=FILE      also write what was seen, in the list's format
package runtimetools
