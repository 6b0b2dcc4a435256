//go:build cgo

package seccomp

import (
	"os"
	"strconv"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// compiler turns one profile into a libseccomp filter.
type compiler struct {
	cfg    *specs.LinuxSeccomp
	filter *libseccomp.ScmpFilter
	def    libseccomp.ScmpAction
	archs  []arch
	// newest are, for each of archs, the highest numbers of the system calls in the profile:
	// see enosys.go.
	newest []int64
	prog   Program
}

// Compile compiles a profile. System calls that libseccomp does not know are left out and, unless they
// were to be allowed, reported as warnings; everything else that cannot be done is an error with the field
// it is about.
//
// Only the listed architectures and the native one can make system calls at all; a call of another
// one ends the process. Where the default action is an errno or a kill, system calls with numbers
// above all that the profile names fail with ENOSYS: see enosys.go.
func Compile(cfg *specs.LinuxSeccomp) (*Program, error) {
	if cfg == nil {
		return nil, fault.New("compile the seccomp profile: there is none", origin)
	}
	c := &compiler{cfg: cfg}
	prog, err := c.generate()
	if err != nil {
		return nil, err
	}
	c.prog.Filter = simplify(prog)
	if err := Check(c.prog.Filter); err != nil {
		return nil, c.fail("", "", err, "the profile is too large, or libseccomp generated a program that the kernel would refuse")
	}
	return &c.prog, nil
}

// generate returns the prologue and libseccomp's program.
func (c *compiler) generate() ([]byte, error) {
	if err := c.flags(); err != nil {
		return nil, err
	}
	if err := c.start(); err != nil {
		return nil, err
	}
	defer c.filter.Release()
	for i := range c.cfg.Syscalls {
		if err := c.rules(i); err != nil {
			return nil, err
		}
	}
	if err := c.listener(); err != nil {
		return nil, err
	}
	raw, err := export(c.filter)
	if err != nil {
		return nil, c.fail("", "", err, "libseccomp could not generate the program")
	}
	return append(c.enosys(), raw...), nil
}

// fail makes an error about a field below /linux/seccomp.
func (c *compiler) fail(field, object string, err error, cause string) error {
	return &fault.Error{Step: "compile the seccomp profile", Origin: origin + field, Object: object, Err: err, Cause: cause}
}

func (c *compiler) warn(field, what string) {
	c.prog.Warnings = append(c.prog.Warnings, origin+field+": "+what)
}

func (c *compiler) flags() error {
	for i, f := range c.cfg.Flags {
		bit, ok := flagBit(f)
		if !ok {
			return c.fail("/flags/"+strconv.Itoa(i), string(f), nil, "not a flag of runtime-spec")
		}
		c.prog.Flags |= bit
	}
	return nil
}

// start makes the filter with its default action and architectures.
func (c *compiler) start() (err error) {
	c.def, err = c.action("/defaultAction", c.cfg.DefaultAction, "/defaultErrnoRet", c.cfg.DefaultErrnoRet)
	if err != nil {
		return err
	}
	if c.cfg.DefaultAction == specs.ActNotify {
		return c.fail("/defaultAction", string(specs.ActNotify), nil,
			"every call of the payload would wait for the listener")
	}
	if c.filter, err = libseccomp.NewFilter(c.def); err != nil {
		return c.fail("/defaultAction", string(c.cfg.DefaultAction), err, "")
	}
	defer func() {
		if err != nil {
			c.filter.Release()
		}
	}()
	// libseccomp's default would kill the thread alone and leave a damaged process.
	if err := c.filter.SetBadArchAction(libseccomp.ActKillProcess); err != nil {
		return c.fail("/architectures", "", err, "")
	}
	if own, ok := archOf(native()); ok {
		c.archs = append(c.archs, own) // libseccomp has added it
	}
	for i, name := range c.cfg.Architectures {
		field := "/architectures/" + strconv.Itoa(i)
		a, ok := archOf(name)
		if !ok {
			return c.fail(field, string(name), nil, "not an architecture of runtime-spec")
		}
		if have, err := c.filter.IsArchPresent(a.lib); err == nil && have {
			continue
		}
		if err := c.filter.AddArch(a.lib); err != nil {
			return c.fail(field, string(name), err, "libseccomp cannot filter for this architecture together with the native one")
		}
		c.archs = append(c.archs, a)
	}
	c.newest = make([]int64, len(c.archs))
	for i := range c.newest {
		c.newest[i] = -1
	}
	return nil
}

// action translates an action together with its errno, which is EPERM where none is given.
func (c *compiler) action(field string, name specs.LinuxSeccompAction, errnoField string, ret *uint) (libseccomp.ScmpAction, error) {
	a, hasErrno, ok := action(name)
	if !ok {
		return a, c.fail(field, string(name), nil, "not an action of runtime-spec")
	}
	if !hasErrno {
		if ret != nil {
			return a, c.fail(errnoField, "", nil, string(name)+" returns no errno")
		}
		return a, nil
	}
	code := uint(unix.EPERM)
	if ret != nil {
		code = *ret
	}
	limit := uint(4094) // libseccomp wants less than MAX_ERRNO, which is what the kernel cuts down to
	if name == specs.ActTrace {
		limit = 0xffff // handed to the tracer as it is
	}
	if code > limit {
		return a, c.fail(errnoField, strconv.FormatUint(uint64(code), 10), nil, "the value is 0 to "+strconv.FormatUint(uint64(limit), 10))
	}
	return a.SetReturnCode(int16(uint16(code))), nil
}

// rules adds the rules of one element of syscalls.
func (c *compiler) rules(i int) error {
	s := &c.cfg.Syscalls[i]
	field := "/syscalls/" + strconv.Itoa(i)
	if len(s.Names) == 0 {
		return c.fail(field+"/names", "", nil, "a rule names at least one system call")
	}
	a, err := c.action(field+"/action", s.Action, field+"/errnoRet", s.ErrnoRet)
	if err != nil {
		return err
	}
	conds, err := c.conditions(field, s.Args)
	if err != nil {
		return err
	}
	for j, name := range s.Names {
		field := field + "/names/" + strconv.Itoa(j)
		nr, err := libseccomp.GetSyscallFromName(name)
		if err != nil {
			// A name newer than libseccomp. What is allowed by it is refused without it, as profiles that
			// name all of a newer kernel's calls mean it to be on older systems; the rest is worth a word.
			if s.Action == specs.ActAllow {
				continue
			}
			c.warn(field, "libseccomp does not know the system call "+strconv.Quote(name)+"; the rule is left out")
			continue
		}
		c.note(name)
		if a == c.def {
			continue // libseccomp refuses rules that change nothing
		}
		if s.Action == specs.ActNotify {
			c.prog.Notify = true
		}
		for _, cond := range conds {
			if err := c.filter.AddRuleConditional(nr, a, cond); err != nil {
				return c.fail(field, name, err, "")
			}
		}
	}
	return nil
}

// conditions returns the argument comparisons of a rule as alternatives: each is a list that must hold
// as a whole. An index that occurs twice cannot be in one libseccomp rule; as in runc, every
// comparison is then an alternative of its own.
func (c *compiler) conditions(field string, args []specs.LinuxSeccompArg) ([][]libseccomp.ScmpCondition, error) {
	var list []libseccomp.ScmpCondition
	var used [6]bool // a system call has six arguments
	twice := false
	for i, arg := range args {
		field := field + "/args/" + strconv.Itoa(i)
		if arg.Index >= uint(len(used)) {
			return nil, c.fail(field+"/index", strconv.FormatUint(uint64(arg.Index), 10), nil, "a system call has the arguments 0 to 5")
		}
		op, ok := compareOp(arg.Op)
		if !ok {
			return nil, c.fail(field+"/op", string(arg.Op), nil, "not an operator of runtime-spec")
		}
		// For MASKED_EQ value is the mask and valueTwo what is compared with; others ignore valueTwo.
		cond, err := libseccomp.MakeCondition(arg.Index, op, arg.Value, arg.ValueTwo)
		if err != nil {
			return nil, c.fail(field, "", err, "")
		}
		twice = twice || used[arg.Index]
		used[arg.Index] = true
		list = append(list, cond)
	}
	if !twice {
		return [][]libseccomp.ScmpCondition{list}, nil
	}
	var alternatives [][]libseccomp.ScmpCondition
	for _, cond := range list {
		alternatives = append(alternatives, []libseccomp.ScmpCondition{cond})
	}
	return alternatives, nil
}

// listener checks the notification fields against the rules, and completes the flags.
func (c *compiler) listener() error {
	switch {
	case c.prog.Notify && c.cfg.ListenerPath == "":
		return c.fail("/listenerPath", "", nil, "SCMP_ACT_NOTIFY is used, but no listener is given")
	case c.cfg.ListenerPath == "" && c.cfg.ListenerMetadata != "":
		return c.fail("/listenerMetadata", "", nil, "metadata is given without a listenerPath to send it to")
	case c.prog.Notify:
		c.prog.Flags |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
		if c.prog.Flags&unix.SECCOMP_FILTER_FLAG_TSYNC != 0 {
			// Both together are refused unless failures of TSYNC are not told by a thread's ID,
			// which could not be told from a descriptor.
			c.prog.Flags |= unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
		}
	case c.prog.Flags&unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV != 0:
		// The kernel refuses the flag without a listener.
		c.prog.Flags &^= unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
		c.warn("/flags", string(specs.LinuxSeccompFlagWaitKillableRecv)+" is without effect: no rule uses SCMP_ACT_NOTIFY")
	}
	return nil
}

// export returns libseccomp's program. Before version 2.6 it writes to a descriptor only.
func export(f *libseccomp.ScmpFilter) ([]byte, error) {
	fd, err := unix.MemfdCreate("seccomp", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "seccomp")
	defer file.Close()
	if err := f.ExportBPF(file); err != nil {
		return nil, err
	}
	size, err := file.Seek(0, 2)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, size)
	_, err = file.ReadAt(raw, 0)
	return raw, err
}
