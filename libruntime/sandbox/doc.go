// Package sandbox makes the configuration of `bailey try`: a throw-away container over a read-only view of the machine, for
// one command, from nothing but a few choices.
//
// It looks at the machine (which directories there are, where the caller's home and working directory are) and decides;
// it makes nothing. What it returns is an ordinary configuration, for libruntime.Run to carry out, with three things
// beside it that no config.json can say: that the root filesystem is empty, which mounts keep their owners, and whether
// the container is to have IDs of its own.
//
// # What is shown
//
// The root is an empty filesystem, into which is mounted what programs need: a list of what is allowed, not of what is
// forbidden. Sockets of daemons, data of services, homes, other users' files, devices, and whatever an administrator
// has put where nobody expected it, are not hidden: they were never there.
package sandbox
