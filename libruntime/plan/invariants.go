package plan

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Check returns what is wrong with the order of the plan, nil if nothing is. It knows no configuration: it
// says whether the operations can have the effect that a container's safety rests on. What it demands:
//
//   - phases: the host, then stage 0, which becomes undumpable before anything else and ends with the only
//     clone, then the init with what it asks for (CVE-2016-9962);
//   - descriptors: each slot is filled once and before it is used, handed to the init if the host has it,
//     and used for something;
//   - namespaces: v1 cgroups first, then the user namespace before all that it may own, the mount namespace
//     last; in a new user namespace nothing is done before the ID maps are written and the init is its root;
//   - tree: the root is attached before anything is attached in it, everything in it is made before it is
//     entered, and masks and read-only paths come after that;
//   - privileges: the bounding set is dropped once, after the hooks that need all of it and before the root
//     is entered, so that no file of the container is ever executed with more, and again after a seal, which fills
//     it; then IDs, capabilities, no_new_privs, each once and in this order; what is read back is what was set;
//   - seal: after everything that is done to mounts and before the process gets anything that a new user namespace
//     would take from it; in a user namespace of the container's own; with limits that keep it, and proven at once;
//   - end: proof before the report, the report before the wait, hooks of the image after it; all
//     descriptors closed directly before the filter, and under the filter nothing but one change of
//     capabilities, which can only take away, and the exec.
func (p *Plan) Check() []error {
	c := &checker{ops: p.Ops}
	c.phases()
	if len(c.errs) > 0 {
		// Everything else is said about the phases.
		return c.errs
	}
	c.slots(p.Given)
	c.namespaces()
	c.dumpable()
	c.tree()
	c.privileges()
	c.sealed()
	c.verified()
	c.end()
	return c.errs
}

type checker struct {
	ops  []Op
	errs []error
}

func (c *checker) fail(i int, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("operation %d (%s): %s", i, c.ops[i], fmt.Sprintf(format, args...)))
}

func (c *checker) failPlan(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf(format, args...))
}

// kind returns the name of an action's type.
func kind(a Action) string { return strings.TrimPrefix(fmt.Sprintf("%T", a), "plan.") }

// find returns the places of the actions of a type.
func find[T Action](ops []Op) []int {
	var at []int
	for i, op := range ops {
		if _, ok := op.Action.(T); ok {
			at = append(at, i)
		}
	}
	return at
}

// one returns the place of the only action of a type, or -1 after complaining.
func one[T Action](c *checker) int {
	at := find[T](c.ops)
	if len(at) == 1 {
		return at[0]
	}
	var t T
	c.failPlan("%d times %s, want 1", len(at), kind(t))
	return -1
}

// before demands that everything in first comes before everything in second.
func (c *checker) before(first, second []int, why string) {
	for _, a := range first {
		for _, b := range second {
			if a > b && a >= 0 && b >= 0 {
				c.fail(a, "must come before operation %d (%s): %s", b, c.ops[b], why)
				return
			}
		}
	}
}

func (c *checker) phases() {
	if len(c.ops) == 0 {
		c.failPlan("an empty plan")
		return
	}
	phase := Host
	for i, op := range c.ops {
		w := min(op.Where(), Init) // what is asked for belongs to the init
		if op.Where() == Asked {
			w = Init
		}
		if w < phase {
			c.fail(i, "an operation of the %s after one of the %s", w, phase)
		}
		if w == Joiner && phase != Joiner {
			if _, ok := op.Action.(NotDumpable); !ok {
				c.fail(i, "stage 0 must become undumpable first")
			}
		}
		if w == Init && phase != Init {
			if i == 0 || !is[Clone](c.ops[i-1]) {
				c.fail(i, "the init's part must begin with its clone")
			}
		}
		phase = w
	}
	one[NotDumpable](c)
	one[Clone](c)
	if one[Exec](c) != len(c.ops)-1 {
		c.failPlan("the last operation must be Exec")
	}
}

func is[T Action](op Op) bool {
	_, ok := op.Action.(T)
	return ok
}

// slots checks who fills, hands over and uses which descriptor.
func (c *checker) slots(given []Slot) {
	type state struct {
		filled       int // by which operation, or -1
		where        Where
		sent, joined bool
		used         bool
		attached     bool
	}
	slots := make(map[Slot]*state)
	for _, s := range given {
		slots[s] = &state{filled: -1, where: Host}
	}
	closed := false
	for i, op := range c.ops {
		switch a := op.Action.(type) {
		case CloseDescriptors:
			closed = true
		case SendDescriptors:
			for _, s := range a.Slots {
				st := slots[s]
				switch {
				case st == nil || st.where != Host:
					c.fail(i, "the host has no descriptor %s", s)
				case st.sent:
					c.fail(i, "%s is handed over twice", s)
				default:
					st.sent = true
				}
			}
		}
		for _, s := range uses(op.Action) {
			st := slots[s]
			switch {
			case st == nil:
				c.fail(i, "%s is used before it is filled", s)
				continue
			case closed:
				c.fail(i, "%s is used after all descriptors were closed", s)
			case op.Where() == Joiner:
				st.joined = true
			case is[MapSource](op) && st.sent:
				c.fail(i, "%s is the init's already", s)
			case op.Where() == Host || op.Where() == Asked:
				// The host has what it has opened itself.
			case st.where == Host && !st.sent && !st.joined:
				c.fail(i, "%s is used before it is handed over", s)
			}
			st.used = true
			if a, ok := op.Action.(Attach); ok && a.Slot == s {
				if st.attached {
					c.fail(i, "%s is attached twice", s)
				}
				st.attached = true
			}
		}
		for _, s := range fills(op.Action) {
			if old := slots[s]; old != nil && s != SlotState {
				c.fail(i, "%s is filled twice", s)
			}
			slots[s] = &state{filled: i, where: op.Where()}
		}
	}
	for s, st := range slots {
		switch {
		case s == SlotState:
			// start brings a state whether there are hooks for it or not.
		case st.filled < 0 && !st.used:
			c.failPlan("%s is given and never used", s)
		case st.filled >= 0 && (!st.used || isForTree(c.ops[st.filled].Action) && !st.attached):
			c.fail(st.filled, "%s is never used", s)
		}
	}
}

// isForTree reports whether an action makes a mount that has to be attached somewhere.
func isForTree(a Action) bool {
	switch a := a.(type) {
	case OpenTree:
		return a.Slot != SlotRoot && a.Slot != SlotNull
	case NewFilesystem:
		return a.Slot != SlotEmpty && a.Slot != SlotRoot
	case NewFilesystemIn, NewOverlay, NewDevice:
		return true
	}
	return false
}

// namespaces checks the order in which they are joined and made, and who the init is in them.
func (c *checker) namespaces() {
	clone := find[Clone](c.ops)[0]
	made := c.ops[clone].Action.(Clone).Namespaces
	var joins, user, mount []int
	joined := Namespace(0)
	for i, op := range c.ops[:clone] {
		switch a := op.Action.(type) {
		case JoinNamespace:
			joined |= a.Type
			joins = append(joins, i)
			switch a.Type {
			case UserNS:
				user = append(user, i)
			case MountNS:
				mount = append(mount, i)
			}
		case JoinContainer:
			joined |= a.Types
			joins = append(joins, i)
		}
	}
	if both := made & joined; both != 0 {
		c.fail(clone, "the %s namespace is joined and made", both)
	}
	if made&(CgroupNS|TimeNS) != 0 {
		c.fail(clone, "cgroup and time namespaces cannot be made by the clone")
	}
	c.before(find[WriteIDMaps](c.ops), find[MapSource](c.ops), "there are no maps yet")
	c.before(find[JoinCgroup](c.ops), find[Unshare](c.ops), "a cgroup namespace's root is where its maker is")
	c.before(find[WriteTimeOffsets](c.ops), find[EnterTimeNamespace](c.ops), "offsets are fixed when a process enters")
	c.before(find[JoinCgroup](c.ops), find[NewFilesystem](c.ops), "its memory belongs to the container")
	c.before(user, joins, "the user namespace may own the others")
	c.before(joins, mount, "joining the mount namespace changes the root")

	next := clone + 1
	for next < len(c.ops) && beforeMaps(c.ops[next].Action) {
		next++
	}
	maps := find[WriteIDMaps](c.ops)
	if made&UserNS != 0 {
		if len(maps) != 1 || maps[0] != next {
			c.fail(clone, "a new user namespace must get its ID maps at once")
		}
		next++
		if is[SetDumpable](c.ops[next]) {
			next++
		}
	} else if len(maps) != 0 {
		c.fail(maps[0], "no user namespace was made")
	}
	root := find[BecomeRoot](c.ops)
	if (made|joined)&UserNS != 0 {
		if len(root) != 1 || root[0] != next {
			c.fail(clone, "in a user namespace the init must become its root at once")
		}
	} else if len(root) != 0 {
		c.fail(root[0], "there is no user namespace to be root of")
	}
}

// dumpable checks that the init is dumpable for nothing but to have its files in /proc written to.
func (c *checker) dumpable() {
	since := -1
	for i, op := range c.ops {
		a, ok := op.Action.(SetDumpable)
		switch {
		case ok && a.Dumpable == (since >= 0):
			c.fail(i, "it is so already")
		case ok && a.Dumpable:
			since = i
		case ok:
			since = -1
		case since >= 0 && !is[WriteIDMaps](op) && !is[WriteTimeOffsets](op) && !is[SetOOMScore](op) && !is[Seal](op):
			c.fail(i, "the init is still dumpable")
		}
	}
	if since >= 0 {
		c.fail(since, "the init stays dumpable")
	}
}

// beforeMaps reports whether an action of the init may come before its ID maps: what it does as the user that it is
// outside.
func beforeMaps(a Action) bool {
	switch a := a.(type) {
	case OpenTree, SetOOMScore:
		return true
	case SetDumpable:
		return a.Dumpable
	}
	return false
}

// inTree reports whether an action makes or changes something inside the root before it is entered.
func inTree(a Action) bool {
	switch a.(type) {
	case Attach, RemountInPlace, MakeDirectory, MakeDevice, MakeSymlink, AttachConsole:
		return true
	}
	return false
}

// enters reports whether an action enters the root.
func enters(a Action) bool {
	switch a.(type) {
	case PivotRoot, MoveRoot, Chroot:
		return true
	}
	return false
}

// tree checks how the root is built and entered.
func (c *checker) tree() {
	var build, enter, restrict, root []int
	entersByPivot := false
	for i, op := range c.ops {
		switch {
		case inTree(op.Action):
			build = append(build, i)
		case enters(op.Action):
			enter = append(enter, i)
			entersByPivot = !is[Chroot](op)
		case is[MaskPath](op) || is[ReadonlyPath](op):
			restrict = append(restrict, i)
		}
		for _, s := range fills(op.Action) {
			if s == SlotRoot {
				root = append(root, i)
			}
		}
	}
	attach := find[AttachRoot](c.ops)
	propagation := find[SetPropagation](c.ops)
	if len(root) > 0 && len(enter) != 1 {
		c.failPlan("the root is entered %d times, want 1", len(enter))
	}
	if entersByPivot != (len(attach) == 1) || len(attach) != len(propagation) {
		c.failPlan("the root must be attached to a mount namespace of the container's, cut off from the host, " +
			"if it is pivoted into, and only then")
	}
	c.before(propagation, attach, "the host must not see the container's mounts")
	c.before(propagation, build, "the host must not see the container's mounts")
	c.before(attach, build, "what is attached to the detached root is not carried along everywhere")
	c.before(build, enter, "what is made before the root is entered is made from outside")
	c.before(enter, restrict, "masks cover what the container has in the end")
	c.before(restrict, find[SetIDs](c.ops), "covering takes privileges")
	c.before(enter, find[ChangeDirectory](c.ops), "the working directory must lie in the container")
	for i, op := range c.ops {
		if a, ok := op.Action.(SetMountAttributes); ok && a.Slot == SlotRoot && a.Propagation == unix.MS_SHARED {
			c.before(enter, []int{i}, "the kernel does not pivot into a shared mount")
		}
	}
	c.before(find[Unshare](c.ops), build, "a cgroup mount shows the namespace that it is made in")
}

// privileges checks how they are given up.
func (c *checker) privileges() {
	bounding, ids := c.bounding(), one[SetIDs](c)
	var enter, trusted, image []int
	for i, op := range c.ops {
		switch a := op.Action.(type) {
		case RunHooks:
			trusted = append(trusted, i)
		case RunHook:
			if a.Point == "startContainer" {
				image = append(image, i)
			} else {
				trusted = append(trusted, i)
			}
		}
		if enters(op.Action) {
			enter = append(enter, i)
		}
	}
	drop := []int{bounding}
	caps := find[SetCapabilities](c.ops)
	if len(caps) == 0 {
		c.failPlan("capabilities are never set")
		return
	}
	c.before(trusted, drop, "the runtime's hooks have every capability")
	c.before(trusted, enter, "the runtime's hooks see the host's files")
	c.before(drop, enter, "no file of the container may be executed with more capabilities than it is given")
	c.before(drop, []int{ids}, "changing it takes privileges")
	c.before([]int{ids}, caps, "changing IDs takes and changes capabilities")
	c.before(caps[:1], find[SetNoNewPrivileges](c.ops), "the order that is proven to work")
	c.before(caps[:1], image, "hooks of the image have what the payload has")
	c.before(find[ChangeDirectory](c.ops), []int{ids}, "only root may enter every directory")
	c.before(find[NewSession](c.ops), find[UseConsole](c.ops), "a terminal belongs to a session")
	one[NewSession](c)
	one[ChangeDirectory](c)
	if bounding < 0 {
		return
	}
	keep := c.ops[bounding].Action.(DropBounding).Keep
	for _, i := range caps {
		s := c.ops[i].Action.(SetCapabilities)
		switch {
		case s.Effective&^s.Permitted != 0:
			c.fail(i, "effective beyond permitted")
		case s.Inheritable&^keep != 0:
			c.fail(i, "inheritable beyond bounding")
		case s.Ambient&^(s.Permitted&s.Inheritable) != 0:
			c.fail(i, "ambient beyond permitted and inheritable")
		}
	}
	// What loads the filter without no_new_privs. The exec ends it, as everything beyond the bounding set; but
	// what is not needed up to there is not kept either.
	if len(find[LoadSeccomp](c.ops)) > 0 && len(find[SetNoNewPrivileges](c.ops)) == 0 {
		keep |= capSysAdmin
	}
	if last := c.ops[caps[len(caps)-1]].Action.(SetCapabilities); last.Permitted&^keep != 0 {
		c.failPlan("capabilities beyond the bounding set are kept: %s", capabilityWords(last.Permitted&^keep))
	}
}

// verified checks that what is read back is what was set, and set before.
func (c *checker) verified() {
	v := one[Verify](c)
	if v < 0 {
		return
	}
	want := c.ops[v].Action.(Verify)
	var is Verify
	caps := 0
	for _, op := range c.ops[:v] {
		switch a := op.Action.(type) {
		case DropBounding:
			is.Bounding = a.Keep
		case SetIDs:
			is.UID, is.GID = a.UID, a.GID
		case SetCapabilities:
			caps++
			is.Effective, is.Permitted, is.Inheritable, is.Ambient = a.Effective, a.Permitted, a.Inheritable, a.Ambient
			is.Securebits = a.Securebits
		case SetNoNewPrivileges:
			is.NoNewPrivileges = true
		}
	}
	if is != want || caps != 1 {
		c.fail(v, "what was set before is %+v", is)
	}
	if n := len(find[ResolveExecutable](c.ops[:v])); n != 1 {
		c.failPlan("the executable must be looked for once before the proof, not %d times", n)
	}
	c.before([]int{v}, find[ReportReady](c.ops), "an unproven container is not ready")
}

// end checks what comes after the report.
func (c *checker) end() {
	ready, await, closing := one[ReportReady](c), one[AwaitStart](c), one[CloseDescriptors](c)
	filter := find[LoadSeccomp](c.ops)
	exec := len(c.ops) - 1
	if len(filter) > 1 {
		c.fail(filter[1], "a second filter would be loaded under the first")
	}
	if ready < 0 || await < 0 || closing < 0 || len(filter) > 1 {
		return
	}
	if await != ready+1 {
		c.fail(ready, "must come directly before AwaitStart")
	}
	for i := await + 1; i < closing; i++ {
		if a, ok := c.ops[i].Action.(RunHook); !ok || a.Point != "startContainer" {
			c.fail(i, "only startContainer hooks run between start and the end")
		}
	}
	for i, op := range c.ops[:await] {
		if a, ok := op.Action.(RunHook); ok && a.Point == "startContainer" {
			c.fail(i, "a startContainer hook before start")
		}
	}
	switch {
	case len(filter) == 0:
		if closing != exec-1 {
			c.fail(closing, "must come directly before Exec")
		}
	case closing != filter[0]-1:
		c.fail(closing, "must come directly before LoadSeccomp")
	default:
		c.filter(filter[0], exec)
	}
}

// filter checks that the filter can be loaded, and that nothing but Exec comes after it.
func (c *checker) filter(filter, exec int) {
	var before Verify
	if v := find[Verify](c.ops); len(v) == 1 {
		before = c.ops[v[0]].Action.(Verify)
	}
	if !before.NoNewPrivileges && before.Effective&capSysAdmin == 0 {
		c.fail(filter, "takes no_new_privs or CAP_SYS_ADMIN")
	}
	if exec != filter+1 {
		c.fail(filter, "%d operations under the filter before Exec", exec-filter-1)
	}
}
