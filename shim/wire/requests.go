package wire

// Request is what is read from a request's bytes.
type Request interface{ Decode(b []byte) error }

// Stdio are the names of a process's standard streams: paths of FIFOs, or URIs; "" for none.
type Stdio struct {
	Stdin, Stdout, Stderr string
	Terminal              bool
}

// Task names a process: the container's init, or with ExecID one that was executed in it. It is the whole of most requests.
type Task struct{ ID, ExecID string }

func (r *Task) take(f field) {
	switch f.number {
	case 1:
		r.ID = f.text()
	case 2:
		r.ExecID = f.text()
	}
}

// Decode reads a request that has only this.
func (r *Task) Decode(b []byte) error {
	return fields(b, func(f field) error {
		r.take(f)
		return nil
	})
}

// Create is a CreateTaskRequest.
type Create struct {
	ID, Bundle string
	Rootfs     []Mount
	Stdio
	// Checkpoint is the directory of a checkpoint's images that the container is restored from, or "".
	Checkpoint string
	Options    Any
}

// Decode reads it.
func (r *Create) Decode(b []byte) error {
	return fields(b, func(f field) error {
		switch f.number {
		case 1:
			r.ID = f.text()
		case 2:
			r.Bundle = f.text()
		case 3:
			var m Mount
			err := m.decode(f.bytes)
			r.Rootfs = append(r.Rootfs, m)
			return err
		case 4:
			r.Terminal = f.value != 0
		case 5:
			r.Stdin = f.text()
		case 6:
			r.Stdout = f.text()
		case 7:
			r.Stderr = f.text()
		case 8:
			r.Checkpoint = f.text()
		case 10:
			return r.Options.decode(f.bytes)
		}
		return nil
	})
}

// Exec is an ExecProcessRequest.
type Exec struct {
	Task
	Stdio
	// Spec is a process of the runtime specification as JSON.
	Spec Any
}

// Decode reads it.
func (r *Exec) Decode(b []byte) error {
	return fields(b, func(f field) error {
		switch f.number {
		case 3:
			r.Terminal = f.value != 0
		case 4:
			r.Stdin = f.text()
		case 5:
			r.Stdout = f.text()
		case 6:
			r.Stderr = f.text()
		case 7:
			return r.Spec.decode(f.bytes)
		default:
			r.take(f)
		}
		return nil
	})
}

// Kill is a KillRequest.
type Kill struct {
	Task
	Signal uint32
	All    bool
}

// Decode reads it.
func (r *Kill) Decode(b []byte) error {
	return fields(b, func(f field) error {
		switch f.number {
		case 3:
			r.Signal = uint32(f.value)
		case 4:
			r.All = f.value != 0
		default:
			r.take(f)
		}
		return nil
	})
}

// Resize is a ResizePtyRequest.
type Resize struct {
	Task
	Width, Height uint16
}

// Decode reads it.
func (r *Resize) Decode(b []byte) error {
	return fields(b, func(f field) error {
		switch f.number {
		case 3:
			r.Width = uint16(min(f.value, 1<<16-1))
		case 4:
			r.Height = uint16(min(f.value, 1<<16-1))
		default:
			r.take(f)
		}
		return nil
	})
}

// CloseIO is a CloseIORequest.
type CloseIO struct {
	Task
	Stdin bool
}

// Decode reads it.
func (r *CloseIO) Decode(b []byte) error {
	return fields(b, func(f field) error {
		if f.number == 3 {
			r.Stdin = f.value != 0
			return nil
		}
		r.take(f)
		return nil
	})
}

// Update is an UpdateTaskRequest.
type Update struct {
	ID string
	// Resources are those of the runtime specification as JSON.
	Resources Any
}

// Decode reads it.
func (r *Update) Decode(b []byte) error {
	return fields(b, func(f field) error {
		switch f.number {
		case 1:
			r.ID = f.text()
		case 2:
			return r.Resources.decode(f.bytes)
		}
		return nil
	})
}

// Checkpoint is a CheckpointTaskRequest.
type Checkpoint struct {
	ID, Path string
	Options  Any
}

// Decode reads it.
func (r *Checkpoint) Decode(b []byte) error {
	return fields(b, func(f field) error {
		switch f.number {
		case 1:
			r.ID = f.text()
		case 2:
			r.Path = f.text()
		case 3:
			return r.Options.decode(f.bytes)
		}
		return nil
	})
}
