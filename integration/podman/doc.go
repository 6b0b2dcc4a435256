// Package podman tests bailey under Podman and Buildah, as root and as an ordinary user; `make test-engines` runs it, in
// scripts/sandbox.
package podman
