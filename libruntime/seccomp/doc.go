// Package seccomp turns linux.seccomp of config.json into a classic BPF program that the preamble can
// hand to seccomp(2), through libseccomp, and keeps compiled programs in a cache, because libseccomp
// needs milliseconds for a usual profile.
//
// The package must not load a filter into the calling process, decide when a filter is loaded, or
// open sockets of a notification listener. Nothing from a cache is used that was not checked: a file
// that is in any way unexpected counts as not there.
package seccomp
