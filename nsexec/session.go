package nsexec

import (
	"os"

	"github.com/bailey-oci/bailey/libruntime/plan"
)

// Server does for the preamble what it cannot do itself.
type Server struct {
	// Descriptors are the files that Host actions opened, by slot. Run sends them to the preamble and
	// closes them.
	Descriptors map[plan.Slot]*os.File
	// Cloned is called once with the process ID of the container's init, as seen by the caller, before
	// the init does anything. An error ends it.
	Cloned func(pid int) error
	// Asked executes an action of kind plan.Asked (all but plan.SendDescriptors, which Run does
	// itself). received is the descriptor that came with the question (plan.SendConsole) or nil; the
	// returned file, if any, is sent as the answer (plan.SendState) and closed.
	Asked func(op plan.Op, received *os.File) (*os.File, error)
}

// Init is a container's init, or a process executed in a container, that waits for its start.
type Init struct {
	// PID is its process ID as seen by the caller. It is a child of this process.
	PID int

	sync *os.File
	plan *plan.Plan
}
