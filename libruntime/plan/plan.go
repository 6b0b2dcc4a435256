package plan

// Plan is the ordered list of operations that make a container, or a process in one.
type Plan struct {
	Ops []Op
	// Given are the slots that no operation fills: the caller provides these descriptors itself.
	Given []Slot
	// Warnings say what of the configuration cannot be had, a line each, where that is no error by the
	// specification.
	Warnings []string
	// Decided is what a policy, an annotation or a flag has decided about the container, for printing.
	Decided []Decided
}

// Op is one operation and the place in config.json that asked for it.
type Op struct {
	Action
	// Origin is a JSON pointer into config.json ("/mounts/3"), or "" for what bailey does on its own.
	Origin string
}

// Where says which process executes an operation.
type Where uint8

const (
	// Host: bailey itself, in the caller's namespaces, before the preamble is given the plan.
	Host Where = iota
	// Joiner: stage 0 of the preamble; it joins what exists and clones the container's init.
	Joiner
	// Init: stage 1 of the preamble, the container's init.
	Init
	// Asked: bailey itself, in the caller's namespaces, when the container's init asks for it and
	// waits for the answer.
	Asked
)

// String returns the word that a printed plan uses.
func (w Where) String() string {
	return [...]string{"host", "joiner", "init", "asked"}[w]
}

// Action is an operation's kind and arguments. The kinds are the types of this package that end in
// their method Where; the set is closed.
type Action interface {
	// Where says which process executes the action.
	Where() Where
	// String says what is done in words a person understands, without a full stop.
	String() string
}

// Slot names a descriptor that one operation makes and a later one uses. The empty Slot means none.
type Slot string

// Well-known slots.
const (
	// SlotRoot is the root filesystem's mount.
	SlotRoot Slot = "root"
	// SlotProc is a procfs of the container's pid namespace that nothing is mounted over.
	SlotProc Slot = "proc"
	// SlotCgroup is the container's directory in the unified (v2) hierarchy.
	SlotCgroup Slot = "cgroup"
	// SlotContainer is a pidfd of the init of the container that a process is executed in.
	SlotContainer Slot = "container"
	// SlotCgroupNamespace is the cgroup namespace of that container, or one given by path.
	SlotCgroupNamespace Slot = "ns/cgroup"
	// SlotConsole is the container's side of its terminal.
	SlotConsole Slot = "console"
	// SlotConsoleMaster is the other side, which is handed to the caller.
	SlotConsoleMaster Slot = "console-master"
	// SlotListener is the listening socket on which a created container waits for start.
	SlotListener Slot = "start-listener"
	// SlotState is a read-only file with the container's state as JSON, the hooks' standard input.
	SlotState Slot = "state"
	// SlotNull is the host's /dev/null as a detached mount; masks of files are made of it.
	SlotNull Slot = "null"
	// SlotEmpty is an empty read-only filesystem; masks of directories are made of it.
	SlotEmpty Slot = "empty"
)

// Decided is one setting that was decided: its name and value, and by what.
type Decided struct{ Setting, Value, By string }
