// Package explained reproduces the failures that users of container runtimes meet most often around user namespaces,
// capabilities and mounts, as root, as an ordinary user, and inside other user namespaces, and checks that the runtime says why
// and what to do, and leaves nothing behind.
//
// docs/errors.md is written from what it sees (go test ./tests/explained -update) and compared with that in every run.
package explained
