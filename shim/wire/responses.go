package wire

import "time"

// Response is what is written as a response's bytes.
type Response interface{ Encode() []byte }

// Empty is a response that says nothing.
type Empty struct{}

// Encode writes it.
func (Empty) Encode() []byte { return nil }

// PID is a CreateTaskResponse or StartResponse.
type PID int

// Encode writes it.
func (r PID) Encode() []byte {
	var m message
	m.number(1, uint64(r))
	return m
}

// Exit says how a process has ended.
type Exit struct {
	PID    int
	Status int
	At     time.Time
}

// Deleted is a DeleteResponse.
type Deleted Exit

// Encode writes it.
func (r Deleted) Encode() []byte {
	var m message
	m.number(1, uint64(r.PID))
	m.number(2, uint64(r.Status))
	m.time(3, r.At)
	return m
}

// Waited is a WaitResponse.
type Waited Exit

// Encode writes it.
func (r Waited) Encode() []byte {
	var m message
	m.number(1, uint64(r.Status))
	m.time(2, r.At)
	return m
}

// Status is where a process is in its life.
type Status uint32

// The values of Status.
const (
	Created Status = 1 + iota
	Running
	Stopped
	Paused
)

// State is a StateResponse.
type State struct {
	ID, Bundle, ExecID string
	PID                int
	Status             Status
	Stdio
	Exit Exit
}

// Encode writes it.
func (r *State) Encode() []byte {
	var m message
	m.text(1, r.ID)
	m.text(2, r.Bundle)
	m.number(3, uint64(r.PID))
	m.number(4, uint64(r.Status))
	m.text(5, r.Stdin)
	m.text(6, r.Stdout)
	m.text(7, r.Stderr)
	m.set(8, r.Terminal)
	m.number(9, uint64(r.Exit.Status))
	m.time(10, r.Exit.At)
	m.text(11, r.ExecID)
	return m
}

// Pids is a PidsResponse.
type Pids []Process

// Process is one process of a container. ExecID is that of one that was asked for by containerd, else "".
type Process struct {
	PID    int
	ExecID string
}

// Encode writes it.
func (r Pids) Encode() []byte {
	var m message
	for _, p := range r {
		var info message
		info.number(1, uint64(p.PID))
		if p.ExecID != "" {
			var details message
			details.text(1, p.ExecID)
			info.inner(2, Any{TypeURL: "containerd.runc.v1.ProcessDetails", Value: details}.encode())
		}
		m.inner(1, info)
	}
	return m
}

// Stats is a StatsResponse.
type Stats Any

// Encode writes it.
func (r Stats) Encode() []byte {
	var m message
	m.inner(1, Any(r).encode())
	return m
}

// Connected is a ConnectResponse.
type Connected struct {
	ShimPID, TaskPID int
	Version          string
}

// Encode writes it.
func (r Connected) Encode() []byte {
	var m message
	m.number(1, uint64(r.ShimPID))
	m.number(2, uint64(r.TaskPID))
	m.text(3, r.Version)
	return m
}

// Info is a RuntimeInfo, the answer to -info.
type Info struct {
	Name, Version string
	Options       Any
	// Features are those of the runtime specification as JSON.
	Features []byte
}

// Encode writes it.
func (r *Info) Encode() []byte {
	var m, version message
	version.text(1, r.Version)
	m.text(1, r.Name)
	m.inner(2, version)
	if r.Options.TypeURL != "" {
		m.inner(3, r.Options.encode())
	}
	m.inner(4, Any{TypeURL: "types.containerd.io/opencontainers/runtime-spec/1/features/Features", Value: r.Features}.encode())
	return m
}
