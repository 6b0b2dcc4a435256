// Package store keeps the record of every container: one directory per container below a root
// directory, with state.json (the [Record]), the copy of config.json that the container was made from,
// and the socket that it waits on for its start.
//
// The record is written before the side effect that it describes, so that after a kill -9 at any moment
// it says what has to be undone. Writes are atomic (a temporary file and rename) but not synced to a
// disk: the directory is meant to lie on a tmpfs, and no container survives the machine either.
// Whoever changes a container holds the lock on its directory; reading needs no lock.
//
// What is read is not trusted: the directory must belong to the caller and be writable by nobody else,
// and state.json is decoded strictly.
//
// The package must not start, signal or look at processes, and knows nothing of cgroups or hooks.
package store
