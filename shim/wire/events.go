package wire

import "time"

// Event is something to tell containerd of.
type Event struct {
	// Topic is what subscribers choose by.
	Topic string
	body  Any
}

func event(topic, name string, body message) Event {
	return Event{topic, Any{TypeURL: "containerd.events." + name, Value: body}}
}

// TaskCreate tells of a container that was made.
func TaskCreate(r *Create, pid int) Event {
	var m, io message
	m.text(1, r.ID)
	m.text(2, r.Bundle)
	for _, mount := range r.Rootfs {
		m.inner(3, mount.encode())
	}
	io.text(1, r.Stdin)
	io.text(2, r.Stdout)
	io.text(3, r.Stderr)
	io.set(4, r.Terminal)
	m.inner(4, io)
	m.text(5, r.Checkpoint)
	m.number(6, uint64(pid))
	return event("/tasks/create", "TaskCreate", m)
}

// TaskStart tells of one that was started.
func TaskStart(id string, pid int) Event {
	var m message
	m.text(1, id)
	m.number(2, uint64(pid))
	return event("/tasks/start", "TaskStart", m)
}

// TaskDelete tells of one that was deleted.
func TaskDelete(id string, e Exit) Event {
	var m message
	m.text(1, id)
	m.number(2, uint64(e.PID))
	m.number(3, uint64(e.Status))
	m.time(4, e.At)
	return event("/tasks/delete", "TaskDelete", m)
}

// TaskExit tells of a process that has ended; process is the container's ID or that of an executed process.
func TaskExit(id, process string, e Exit) Event {
	var m message
	m.text(1, id)
	m.text(2, process)
	m.number(3, uint64(e.PID))
	m.number(4, uint64(e.Status))
	m.time(5, e.At)
	return event("/tasks/exit", "TaskExit", m)
}

// TaskOOM tells that a container has run out of memory.
func TaskOOM(id string) Event { return about(id, "/tasks/oom", "TaskOOM") }

// TaskPaused tells of a container that was frozen.
func TaskPaused(id string) Event { return about(id, "/tasks/paused", "TaskPaused") }

// TaskResumed tells of one that was thawed.
func TaskResumed(id string) Event { return about(id, "/tasks/resumed", "TaskResumed") }

func about(id, topic, name string) Event {
	var m message
	m.text(1, id)
	return event(topic, name, m)
}

// TaskCheckpointed tells of a checkpoint that was made in the directory path.
func TaskCheckpointed(id, path string) Event {
	var m message
	m.text(1, id)
	m.text(2, path)
	return event("/tasks/checkpointed", "TaskCheckpointed", m)
}

// TaskExecAdded tells of a process that is going to be executed.
func TaskExecAdded(id, exec string) Event {
	var m message
	m.text(1, id)
	m.text(2, exec)
	return event("/tasks/exec-added", "TaskExecAdded", m)
}

// TaskExecStarted tells of a process that was executed.
func TaskExecStarted(id, exec string, pid int) Event {
	var m message
	m.text(1, id)
	m.text(2, exec)
	m.number(3, uint64(pid))
	return event("/tasks/exec-started", "TaskExecStarted", m)
}

// Forward returns the ForwardRequest that an event goes to containerd in.
func (e Event) Forward(namespace string, at time.Time) []byte {
	var m, envelope message
	envelope.time(1, at)
	envelope.text(2, namespace)
	envelope.text(3, e.Topic)
	envelope.inner(4, e.body.encode())
	m.inner(1, envelope)
	return m
}
