package plan

import (
	"flag"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/spec"
)

var (
	seed    = flag.Uint64("seed", 0, "first seed of the random configurations (0: by the clock)")
	configs = flag.Int("configs", 6000, "how many random configurations to compile")
)

// eachPlan compiles random configurations and calls do with the plans of create and exec.
func eachPlan(t *testing.T, count int, do func(t *testing.T, seed uint64, s *specs.Spec, p *Plan)) {
	first := *seed
	if first == 0 {
		first = uint64(time.Now().UnixNano())
	}
	t.Logf("first seed %d (repeat with -seed %d)", first, first)
	for i := range uint64(count) {
		n := first + i
		g := newGenerator(n)
		s := g.config()
		if err := spec.Validate(s); err != nil {
			t.Fatalf("seed %d: the generator makes invalid configurations: %v", n, err)
		}
		o := g.options(s)
		p, err := Compile(s, o)
		if err != nil {
			t.Fatalf("seed %d: %v", n, err)
		}
		do(t, n, s, p)
		if p, err = CompileExec(s.Process, s, execOptions(o)); err != nil {
			t.Fatalf("seed %d: exec: %v", n, err)
		}
		do(t, n, s, p)
		if t.Failed() {
			return
		}
	}
}

func TestEveryPlanHoldsItsOrder(t *testing.T) {
	eachPlan(t, *configs, func(t *testing.T, seed uint64, s *specs.Spec, p *Plan) {
		for _, err := range p.Check() {
			t.Errorf("seed %d: %v", seed, err)
		}
		for i, op := range p.Ops {
			if op.String() == "" || op.Origin != "" && op.Origin[0] != '/' && op.Origin[:len("process /")] != "process /" {
				t.Errorf("seed %d: operation %d has text %q and origin %q", seed, i, op, op.Origin)
			}
		}
		if p.Text() == "" {
			t.Errorf("seed %d: no text", seed)
		}
	})
}

func TestCompileIsDeterministic(t *testing.T) {
	for n := range uint64(200) {
		g := newGenerator(n)
		s := g.config()
		o := g.options(s)
		a, errA := Compile(s, o)
		b, errB := Compile(s, o)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d: two plans of one configuration differ", n)
		}
		x, _ := a.MarshalJSON()
		y, _ := b.MarshalJSON()
		if string(x) != string(y) {
			t.Fatalf("seed %d: two JSON forms of one plan differ", n)
		}
	}
}

// mutation breaks a plan. It returns false where the plan has nothing to break in this way.
type mutation struct {
	name string
	do   func(ops *[]Op) bool
}

func indexOf[T Action](ops []Op) int {
	return slices.IndexFunc(ops, func(op Op) bool { return is[T](op) })
}

// without removes the first operation of a kind.
func without[T Action](ops *[]Op) bool {
	i := indexOf[T](*ops)
	if i < 0 {
		return false
	}
	*ops = slices.Delete(*ops, i, i+1)
	return true
}

// twice repeats the first operation of a kind.
func twice[T Action](ops *[]Op) bool {
	i := indexOf[T](*ops)
	if i < 0 {
		return false
	}
	*ops = slices.Insert(*ops, i, (*ops)[i])
	return true
}

// moved puts the first A behind the last B, or before the first B.
func moved[A, B Action](behind bool) func(ops *[]Op) bool {
	return func(ops *[]Op) bool {
		a := indexOf[A](*ops)
		if a < 0 {
			return false
		}
		op := (*ops)[a]
		rest := slices.Delete(slices.Clone(*ops), a, a+1)
		b := find[B](rest)
		if len(b) == 0 {
			return false
		}
		to := b[0]
		if behind {
			to = b[len(b)-1] + 1
		}
		if to == a {
			return false
		}
		*ops = slices.Insert(rest, to, op)
		return true
	}
}

// inserted puts op behind the first T.
func inserted[T Action](op Action) func(ops *[]Op) bool {
	return func(ops *[]Op) bool {
		i := indexOf[T](*ops)
		if i < 0 {
			return false
		}
		*ops = slices.Insert(*ops, i+1, Op{op, ""})
		return true
	}
}

// changed replaces the first T.
func changed[T Action](change func(T) Action) func(ops *[]Op) bool {
	return func(ops *[]Op) bool {
		i := indexOf[T](*ops)
		if i < 0 {
			return false
		}
		(*ops)[i].Action = change((*ops)[i].Action.(T))
		return true
	}
}

// changedLast replaces the last T.
func changedLast[T Action](change func(T) Action) func(ops *[]Op) bool {
	return func(ops *[]Op) bool {
		all := find[T](*ops)
		if len(all) == 0 {
			return false
		}
		i := all[len(all)-1]
		(*ops)[i].Action = change((*ops)[i].Action.(T))
		return true
	}
}

var mutations = []mutation{
	{"no NotDumpable", without[NotDumpable]},
	{"maps that nobody can write", without[SetDumpable]},
	{"dumpable twice", twice[SetDumpable]},
	{"undumpable first", changed(func(a SetDumpable) Action { return SetDumpable{!a.Dumpable} })},
	{"dumpable for the rest", func(ops *[]Op) bool {
		for i, op := range *ops {
			if a, ok := op.Action.(SetDumpable); ok && !a.Dumpable {
				*ops = slices.Delete(*ops, i, i+1)
				return true
			}
		}
		return false
	}},
	{"no Clone", without[Clone]},
	{"two clones", twice[Clone]},
	{"no Exec", without[Exec]},
	{"two executions", twice[Exec]},
	{"no OpenTree", without[OpenTree]},
	{"no OpenNamespace", without[OpenNamespace]},
	{"no OpenProc", without[OpenProc]},
	{"no OpenDirectory", without[OpenDirectory]},
	{"no OpenMount", without[OpenMount]},
	{"no CreateCgroup", func(ops *[]Op) bool {
		// Without a cgroup to be in it makes no difference.
		i := indexOf[Clone](*ops)
		return ((*ops)[i].Action.(Clone).Cgroup != "" || indexOf[JoinCgroup](*ops) >= 0) && without[CreateCgroup](ops)
	}},
	{"no SendDescriptors", without[SendDescriptors]},
	{"descriptors sent twice", twice[SendDescriptors]},
	{"no WriteIDMaps", without[WriteIDMaps]},
	{"no BecomeRoot", without[BecomeRoot]},
	{"mapped before there are maps", moved[MapSource, WriteIDMaps](false)},
	{"mapped when it is handed over", moved[MapSource, SendDescriptors](true)},
	{"no NewFilesystemIn", without[NewFilesystemIn]},
	{"made twice outside", twice[NewFilesystemIn]},
	{"no NewDevice", without[NewDevice]},
	{"device made twice", twice[NewDevice]},
	{"no NewFilesystem", without[NewFilesystem]},
	{"filesystem made twice", twice[NewFilesystem]},
	{"no Attach", without[Attach]},
	{"attached twice", twice[Attach]},
	{"no SetPropagation", without[SetPropagation]},
	{"no AttachRoot", without[AttachRoot]},
	{"no PivotRoot", without[PivotRoot]},
	{"no MoveRoot", without[MoveRoot]},
	{"no Chroot", without[Chroot]},
	{"no OpenConsole", without[OpenConsole]},
	{"no SendConsole", without[SendConsole]},
	{"no SendState", func(ops *[]Op) bool { return indexOf[SendState](*ops) >= 0 && without[SendState](ops) }},
	{"no DropBounding", without[DropBounding]},
	{"bounding set dropped twice", twice[DropBounding]},
	{"no SetIDs", without[SetIDs]},
	{"IDs set twice", twice[SetIDs]},
	{"no first SetCapabilities", without[SetCapabilities]},
	{"capabilities set twice", func(ops *[]Op) bool { return twice[SetCapabilities](ops) }},
	{"no SetNoNewPrivileges", without[SetNoNewPrivileges]},
	{"no NewSession", without[NewSession]},
	{"no ChangeDirectory", without[ChangeDirectory]},
	{"no ResolveExecutable", without[ResolveExecutable]},
	{"no Verify", without[Verify]},
	{"no ReportReady", without[ReportReady]},
	{"no AwaitStart", without[AwaitStart]},
	{"no CloseDescriptors", without[CloseDescriptors]},
	{"descriptors closed twice", twice[CloseDescriptors]},
	{"filter loaded twice", twice[LoadSeccomp]},

	{"dumpable while joining", moved[NotDumpable, Clone](false)},
	{"host after stage 0", moved[OpenTree, Clone](true)},
	{"join after the clone", moved[JoinNamespace, BecomeRoot](true)},
	{"container joined after the clone", func(ops *[]Op) bool {
		i := indexOf[JoinContainer](*ops)
		return i >= 0 && (*ops)[i].Where() == Joiner && moved[JoinContainer, SetIDs](true)(ops)
	}},
	{"cgroup joined behind its namespace", moved[JoinCgroup, Unshare](true)},
	{"cgroup joined late", moved[JoinCgroup, NewFilesystem](true)},
	{"root of nobody", moved[BecomeRoot, SetIDs](false)},
	{"maps written late", moved[WriteIDMaps, BecomeRoot](true)},
	{"descriptors sent late", moved[SendDescriptors, Exec](false)},
	{"namespace joined in another order", func(ops *[]Op) bool {
		i := indexOf[JoinNamespace](*ops)
		return i >= 0 && (*ops)[i].Action.(JoinNamespace).Type == UserNS && moved[JoinNamespace, JoinNamespace](true)(ops)
	}},
	{"shared while mounting", moved[SetPropagation, AttachRoot](true)},
	{"root attached late", func(ops *[]Op) bool {
		// Where nothing is made in the root it makes no difference.
		return slices.ContainsFunc(*ops, func(op Op) bool { return inTree(op.Action) }) &&
			moved[AttachRoot, DropBounding](false)(ops)
	}},
	{"mounts outside", func(ops *[]Op) bool {
		return moved[Attach, PivotRoot](true)(ops) || moved[Attach, MoveRoot](true)(ops) || moved[Attach, Chroot](true)(ops)
	}},
	{"device made outside", moved[MakeDevice, SetIDs](false)},
	{"mask before the pivot", moved[MaskPath, DropBounding](false)},
	{"read-only path before the pivot", moved[ReadonlyPath, DropBounding](false)},
	{"mask without privileges", moved[MaskPath, ReportReady](false)},
	{"bounding set dropped after the pivot", func(ops *[]Op) bool {
		return moved[DropBounding, PivotRoot](true)(ops) || moved[DropBounding, MoveRoot](true)(ops) ||
			moved[DropBounding, Chroot](true)(ops)
	}},
	{"hooks after the pivot", moved[RunHooks, SetIDs](false)},
	{"hook of the container with fewer capabilities", func(ops *[]Op) bool {
		i := indexOf[RunHook](*ops)
		return i >= 0 && (*ops)[i].Action.(RunHook).Point == "createContainer" && moved[RunHook, NewSession](false)(ops)
	}},
	{"directory entered before the pivot", func(ops *[]Op) bool {
		i, j := indexOf[PivotRoot](*ops), indexOf[ChangeDirectory](*ops)
		return i >= 0 && j > i && moved[ChangeDirectory, PivotRoot](false)(ops)
	}},
	{"directory entered as the user", moved[ChangeDirectory, SetCapabilities](true)},
	{"IDs after capabilities", moved[SetIDs, Verify](false)},
	{"capabilities after no_new_privs", moved[SetNoNewPrivileges, SetIDs](false)},
	{"proof before the deed", moved[Verify, SetIDs](false)},
	{"proof after the report", moved[Verify, AwaitStart](true)},
	{"report before the proof", moved[ReportReady, Verify](false)},
	{"report after start", moved[ReportReady, AwaitStart](true)},
	{"hook of the image before start", func(ops *[]Op) bool {
		i := indexOf[RunHook](*ops)
		return i >= 0 && (*ops)[i].Action.(RunHook).Point == "startContainer" && moved[RunHook, ReportReady](false)(ops)
	}},
	{"descriptors closed early", moved[CloseDescriptors, AwaitStart](false)},
	{"filter before start", moved[LoadSeccomp, AwaitStart](false)},
	{"filter before the descriptors are closed", moved[LoadSeccomp, CloseDescriptors](false)},
	{"filter after Exec", moved[LoadSeccomp, Exec](true)},
	{"terminal without a session", moved[UseConsole, NewSession](false)},

	{"a write under the filter", inserted[LoadSeccomp](SetUmask{})},
	{"a hook under the filter", inserted[LoadSeccomp](RunHook{Point: "startContainer"})},
	{"host question after the descriptors are closed", inserted[CloseDescriptors](SetRlimits{})},
	{"shared root before the pivot", inserted[AttachRoot](SetMountAttributes{Slot: SlotRoot, Propagation: unix.MS_SHARED})},
	{"identity changed after the proof", inserted[Verify](SetIDs{})},
	{"capability gained after the proof", func(ops *[]Op) bool {
		return inserted[LoadSeccomp](SetCapabilities{Permitted: 1<<41 - 1})(ops)
	}},
	{"a filter that cannot be loaded", func(ops *[]Op) bool {
		if indexOf[LoadSeccomp](*ops) < 0 || indexOf[SetNoNewPrivileges](*ops) < 0 {
			return false
		}
		v := (*ops)[indexOf[Verify](*ops)].Action.(Verify)
		return v.Effective&capSysAdmin == 0 && without[SetNoNewPrivileges](ops) &&
			changed(func(v Verify) Action { v.NoNewPrivileges = false; return v })(ops)
	}},
	{"other IDs than proven", changed(func(a SetIDs) Action { a.UID++; return a })},
	{"other bounding set than proven", changed(func(a DropBounding) Action { a.Keep ^= 1; return a })},
	{"other capabilities than proven", changed(func(a SetCapabilities) Action { a.Permitted ^= 1; return a })},
	{"ambient out of nowhere", func(ops *[]Op) bool {
		more := func(s uint64) uint64 { return s | 1<<40 }
		i := indexOf[SetCapabilities](*ops)
		if (*ops)[i].Action.(SetCapabilities).Inheritable&(1<<40) != 0 {
			return false
		}
		return changed(func(a SetCapabilities) Action { a.Ambient = more(a.Ambient); return a })(ops) &&
			changed(func(v Verify) Action { v.Ambient = more(v.Ambient); return v })(ops)
	}},
	{"no seal", without[Seal]},
	{"sealed twice", twice[Seal]},
	{"no proof of the seal", without[ProveSeal]},
	{"proof without a seal", func(ops *[]Op) bool { return indexOf[Seal](*ops) < 0 && inserted[SetUmask](ProveSeal{})(ops) }},
	{"seal before the masks", moved[Seal, MaskPath](false)},
	{"seal before the hooks", func(ops *[]Op) bool { return indexOf[Seal](*ops) >= 0 && moved[Seal, RunHooks](false)(ops) }},
	{"seal without capabilities", moved[Seal, SetIDs](true)},
	{"seal that takes the keyring", moved[Seal, JoinKeyring](true)},
	{"mount behind the seal", inserted[ProveSeal](ReadonlyPath{"/x"})},
	{"bounding set full behind the seal", func(ops *[]Op) bool {
		i := find[DropBounding](*ops)
		if len(i) < 2 {
			return false
		}
		*ops = slices.Delete(*ops, i[1], i[1]+1)
		return true
	}},
	{"other bounding set behind the seal", func(ops *[]Op) bool {
		i := find[DropBounding](*ops)
		if len(i) < 2 {
			return false
		}
		a := (*ops)[i[1]].Action.(DropBounding)
		a.Keep ^= 2
		(*ops)[i[1]].Action = a
		return true
	}},
	{"seal that leaves user namespaces", changedLast(func(a Seal) Action {
		a.Limits = slices.DeleteFunc(slices.Clone(a.Limits), func(l NamespaceLimit) bool { return l.Kind == UserNS })
		return a
	})},
	{"seal that leaves cgroup namespaces", changedLast(func(a Seal) Action {
		a.Limits = slices.Clone(a.Limits)
		for i := range a.Limits {
			if a.Limits[i].Kind == CgroupNS {
				a.Limits[i].Most = 1
			}
		}
		return a
	})},
	{"resource limits raised too late", moved[RaiseRlimits, Seal](true)},
	{"seal that locks nothing", changedLast(func(a Seal) Action { a.Namespaces = UserNS; return a })},
	{"proof of less than was covered", func(ops *[]Op) bool {
		i := indexOf[ProveSeal](*ops)
		if i < 0 {
			return false
		}
		if a := (*ops)[i].Action.(ProveSeal); len(a.Masked)+len(a.Readonly) == 0 {
			return false
		}
		(*ops)[i].Action = ProveSeal{}
		return true
	}},
	{"limits beside a seal", inserted[ProveSeal](LimitNamespaces{})},
	{"limits twice", twice[LimitNamespaces]},
	{"limits before the namespaces are made", moved[LimitNamespaces, Unshare](false)},
	{"limits without capabilities", moved[LimitNamespaces, SetIDs](true)},
	{"limits of a namespace that others share", func(ops *[]Op) bool {
		made := (*ops)[indexOf[Clone](*ops)].Action.(Clone).Namespaces
		return made&UserNS == 0 && indexOf[OpenProc](*ops) >= 0 && inserted[DropBounding](LimitNamespaces{})(ops)
	}},
	{"other securebits than proven", changed(func(a SetCapabilities) Action { a.Securebits ^= 1; return a })},
	{"cgroup namespace by the clone", changed(func(a Clone) Action { a.Namespaces |= CgroupNS; return a })},
}

// TestBrokenPlansAreFound breaks random plans in every way above: Check must find each.
func TestBrokenPlansAreFound(t *testing.T) {
	tried := make(map[string]int)
	// Each plan is broken in some eighty ways.
	eachPlan(t, max(*configs/4, 1), func(t *testing.T, seed uint64, s *specs.Spec, p *Plan) {
		for _, m := range mutations {
			ops := slices.Clone(p.Ops)
			if !m.do(&ops) {
				continue
			}
			tried[m.name]++
			if broken := (&Plan{Ops: ops, Given: p.Given}); len(broken.Check()) == 0 {
				t.Fatalf("seed %d: %s: not found in\n%s", seed, m.name, broken.Text())
			}
		}
	})
	for _, m := range mutations {
		if tried[m.name] < 20 {
			t.Errorf("%s: tried only %d times", m.name, tried[m.name])
		}
	}
}
