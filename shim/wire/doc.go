// Package wire has the messages that containerd and a shim exchange, as structs that are read from and written to the
// form that protobuf has on the wire.
//
// containerd's own Go packages for them import the whole of gRPC, of which a shim uses nothing: that would triple
// its size and double what it takes to start, three times for each container, and the memory of each pod. Field numbers
// are never used again for something else, so what stands here stays true; integration/containerd compares it with the
// generated code.
//
// The package must not decide anything.
package wire
