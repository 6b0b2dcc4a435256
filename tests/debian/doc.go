// Package debian makes the Debian package, and does with it on a new machine what people do: installs it, runs containers,
// removes it. The machine is a root file system that mmdebstrap(1) has made; it stays in build/debian.
package debian
