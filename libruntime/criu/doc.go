// Package criu asks CRIU (https://criu.org), a program of its own, to dump a tree of processes into files and to bring
// it back.
//
// CRIU is started as "criu swrk FD" and spoken to over a socket: one request, any number of notifications that want an
// answer while the work goes on, one response (images/rpc.proto in CRIU's source; libcriu and go-criu do the same). The
// messages are Protocol Buffers. They are put together field by field here, because the tables that generated code fills
// when a program starts would cost every command of bailey's, of which few have to do with CRIU.
//
// The package knows nothing of containers: what to dump, what is external and where things are put back is the caller's
// to say.
package criu
