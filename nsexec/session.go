package nsexec

import (
	"errors"
	"maps"
	"os"
	"syscall"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/memfd"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"golang.org/x/sys/unix"
)

// Server does for the preamble what it cannot do itself.
type Server struct {
	// Descriptors are the files that Host actions opened, by slot. Run sends them to the preamble and
	// closes them, whatever happens.
	Descriptors map[plan.Slot]*os.File
	// Late, if not nil, is called once and returns more descriptors: when the preamble has its plan, so that
	// what takes long is made while the kernel makes the namespaces, or before, if the plan's first part needs
	// them.
	Late func() (map[plan.Slot]*os.File, error)
	// Cloned is called once with the process ID of the container's init, as seen by the caller, before
	// the init does anything that outlives it. An error ends it.
	Cloned func(pid int) error
	// Await, if not nil, is called before each wait for the preamble. Its error ends the execution.
	Await Await
	// Asked executes an action of kind plan.Asked (all but plan.SendDescriptors, which Run does
	// itself). received is the descriptor that came with the question (see carried) or nil, and
	// is the callee's to close; the returned file, if any, is sent as the answer (plan.SendState) and
	// closed.
	Asked func(op plan.Op, received *os.File) (*os.File, error)
	// Explain, if not nil, finds out why an operation of the preamble has failed. The process that failed lives until
	// then, so that it, and its namespaces, can be looked at.
	Explain func(*Failure) (cause, remedy string)
}

// Failure is an operation that the preamble could not do.
type Failure struct {
	Op plan.Op
	// PID is the process ID of who failed.
	PID int
	// Syscall is what failed, Object what it was given besides what the operation names.
	Syscall, Object string
	Errno           syscall.Errno
	// Evidence is a file that the failure is about, as the process saw it (O_PATH), or nil: of a change to a mount that
	// mount, of a path that cannot be reached its last part that can. It is closed after the explanation.
	Evidence *os.File
}

// Await waits until a descriptor can be read.
type Await func(fd int) error

func (a Await) receive(sock *os.File, step string) (message, error) {
	if a != nil {
		if err := a(int(sock.Fd())); err != nil {
			return message{}, err
		}
	}
	m, err := receive(sock)
	if err != nil {
		err = fault.Wrap(err, step, "")
	}
	return m, err
}

// Init is a container's init, or a process executed in a container, that waits for its start.
type Init struct {
	// PID is its process ID as seen by the caller. It is a child of this process.
	PID int

	sync *os.File
}

// session is one execution of a plan.
type session struct {
	*Preamble
	plan   *plan.Plan
	wire   *encoded
	server *Server
	pid    int  // of the init; 0 before the clone and when it is reaped
	reaped bool // stage 0 is
}

// Run has the preamble execute the plan up to the point where it waits for start. On an error everything
// that it started has ended and is reaped.
func (p *Preamble) Run(pl *plan.Plan, srv *Server) (*Init, error) {
	s := &session{Preamble: p, plan: pl, server: srv}
	defer func() {
		for _, f := range srv.Descriptors {
			f.Close()
		}
	}()
	err := s.begin()
	if err == nil {
		err = s.late()
	}
	if err == nil {
		err = s.serve()
	}
	if err != nil {
		s.abort()
		return nil, err
	}
	// Stage 0 ended when it had cloned the init.
	wait(p.pid)
	return &Init{PID: s.pid, sync: p.sync}, nil
}

// begin sends the plan with the descriptors that are needed before the clone. Later ones are not there
// yet while namespaces are joined (CVE-2016-9962).
func (s *session) begin() error {
	wire, err := encode(s.plan)
	if err != nil {
		return fault.Wrap(err, "encode the plan", "")
	}
	s.wire = wire
	memfd, err := memfd.Data("plan", wire.bytes)
	if err != nil {
		return fault.Wrap(err, "hand the plan to the preamble", "")
	}
	defer memfd.Close()
	if err = send(s.sync, wire_PLAN, 0, nil, int(memfd.Fd())); err == nil {
		if err := s.sendSlots(wire.joiner); err != nil {
			if fe := (*fault.Error)(nil); errors.As(err, &fe) {
				return err
			}
			return s.died(err) // it may have said why before it was gone
		}
		if err = send(s.sync, wire_ANSWER, 0, nil); err == nil {
			return nil
		}
	}
	return s.died(err)
}

func (s *session) sendSlots(slots []plan.Slot) error {
	var numbers []int16
	var files []*os.File
	for _, slot := range slots {
		n, used := s.wire.slots[slot]
		f, err := s.descriptor(slot)
		if err != nil {
			return err
		}
		if f == nil {
			return fault.New("the plan needs a descriptor that was not opened: "+string(slot), "")
		}
		if used {
			numbers, files = append(numbers, n), append(files, f)
		}
	}
	return sendDescriptors(s.sync, numbers, files)
}

// descriptor returns the file for a slot, or nil.
func (s *session) descriptor(slot plan.Slot) (*os.File, error) {
	if f := s.server.Descriptors[slot]; f != nil {
		return f, nil
	}
	err := s.late()
	return s.server.Descriptors[slot], err
}

// late calls Server.Late if that has not been done.
func (s *session) late() error {
	if s.server.Late == nil {
		return nil
	}
	files, err := s.server.Late()
	s.server.Late = nil
	maps.Copy(s.server.Descriptors, files)
	return err
}

// serve answers until the init has reported ready.
func (s *session) serve() error {
	for {
		m, err := s.server.Await.receive(s.sync, "talk to the preamble")
		if err != nil {
			return err
		}
		if m.kind != 0 && m.pid != s.Preamble.pid && s.pid == 0 {
			if m.pid == 0 {
				m.close()
				return fault.New("learn the process ID of the container's init", "")
			}
			s.pid = m.pid
			if err := s.server.Cloned(m.pid); err != nil {
				m.close()
				return err
			}
		}
		switch m.kind {
		case 0:
			return s.died(nil)
		case wire_FAILED:
			return s.explained(&m)
		case wire_FAULT:
			endForTest()
		case wire_ASK:
			ready, err := s.answer(&m)
			if err != nil || ready {
				return err
			}
		default:
			m.close()
			return fault.New("talk to the preamble: an unknown message", "")
		}
	}
}

// answer does the actions that the init asks for and lets it go on.
func (s *session) answer(m *message) (ready bool, err error) {
	first, count := int(m.index), int(m.value)
	if first+count > len(s.plan.Ops) || count < 1 {
		m.close()
		return false, fault.New("talk to the preamble: a question about no operation", "")
	}
	received := m.file
	for _, op := range s.plan.Ops[first : first+count] {
		if d, ok := op.Action.(plan.SendDescriptors); ok {
			err = s.sendSlots(d.Slots)
		} else {
			var f *os.File
			if f, err = s.server.Asked(op, received); f != nil {
				if err == nil {
					err = sendDescriptors(s.sync, []int16{stateSlot}, []*os.File{f})
				}
				f.Close()
			}
			received = nil
		}
		if err != nil {
			if fe := (*fault.Error)(nil); !errors.As(err, &fe) {
				err = fault.Wrap(err, op.String(), op.Origin)
			}
			return false, err
		}
		if _, ok := op.Action.(plan.ReportReady); ok {
			ready = true
		}
	}
	if err := send(s.sync, wire_ANSWER, 0, nil); err != nil {
		return false, s.died(err)
	}
	return ready, nil
}

// abort ends and reaps whatever runs. Closing the socket alone would do, but slowly.
func (s *session) abort() {
	s.sync.Close()
	if !s.reaped {
		_ = unix.Kill(s.Preamble.pid, unix.SIGKILL)
		wait(s.Preamble.pid)
	}
	if s.pid != 0 {
		_ = unix.Kill(s.pid, unix.SIGKILL)
		wait(s.pid)
	}
}

// Starting is what the start of a payload takes. All of it is optional.
type Starting struct {
	// State is the container's state for startContainer hooks.
	State []byte
	// Await is as for Server.
	Await Await
	// Listener is given the descriptor on which a filter's notifications come (seccomp_unotify(2)), before the payload
	// is executed, and is not to keep it. Its error ends the start.
	Listener func(*os.File) error
}

// Start lets the process go. It returns when the payload was executed, or why it was not; then the process has
// ended, or is to be ended by the caller, and is unreaped.
func (i *Init) Start(how Starting) error {
	defer i.sync.Close()
	return start(i.sync, i.PID, how)
}

// End has a process that is not to be started end, and reaps it.
func (i *Init) End() {
	i.sync.Close()
	wait(i.PID)
}

// Release leaves the init waiting on its listening socket.
func (i *Init) Release() { i.sync.Close() }

func start(sock *os.File, pid int, how Starting) error {
	if how.State != nil {
		f, err := memfd.Data("state", how.State)
		if err == nil {
			err = sendDescriptors(sock, []int16{stateSlot}, []*os.File{f})
			f.Close()
		}
		if err != nil {
			return fault.Wrap(err, "hand the state to the container's init", "")
		}
	}
	if err := send(sock, wire_START, 0, nil); err != nil {
		return fault.Wrap(err, "let the container's init go", "")
	}
	for {
		m, err := how.Await.receive(sock, "wait for the payload's exec")
		if err != nil {
			return err
		}
		switch {
		case m.kind == wire_FAILED:
			return startFailure(&m)
		case m.reset: // it has not even read that it may start
			return fault.New("let the container's init go: it has ended", "")
		}
		switch m.kind {
		case 0:
			return nil // exec has closed it
		case wire_LISTENER:
			if err := handListener(sock, pid, int(m.value), how.Listener); err != nil {
				return err
			}
		case wire_FAULT:
			endForTest()
		}
	}
}
