package plan

import (
	"fmt"
	"strconv"
	"strings"
)

// What the actions on the container's process do, in words.

func (BecomeRoot) String() string { return "become root of the user namespace" }

func (a Unshare) String() string {
	return "make a new " + a.Namespaces.String() + " " + many(a.Namespaces, "namespace")
}

func (EnterTimeNamespace) String() string { return "enter the new time namespace" }

func (OpenProc) String() string        { return "make a procfs of its own as proc" }
func (LoopbackUp) String() string      { return "bring up the loopback interface" }
func (a SetHostname) String() string   { return "set the host name to " + a.Name }
func (a SetDomainname) String() string { return "set the domain name to " + a.Name }
func (a WriteSysctl) String() string {
	return "write " + strconv.Quote(a.Value) + " to /proc/sys/" + a.Key
}
func (a RunHook) String() string {
	s := "run the " + a.Point + " hook " + a.Path
	if a.Timeout != 0 {
		s += " for at most " + a.Timeout.String()
	}
	return s
}

// capabilityWords returns a capability set in words, without the prefix that all names have.
func capabilityWords(set uint64) string {
	if set == 0 {
		return "none"
	}
	if all := uint64(1)<<len(capabilityNames) - 1; set&all == all {
		return "all"
	}
	return strings.ToLower(strings.ReplaceAll(strings.Join(CapabilityNames(set), " "), "CAP_", ""))
}

func (a DropBounding) String() string {
	return "drop from the bounding set all but: " + capabilityWords(a.Keep)
}
func (a JoinKeyring) String() string { return "join the session keyring " + a.Name }
func (a SetExecLabel) String() string {
	return "have the payload executed with the " + a.LSM + " label " + a.Label
}
func (NewSession) String() string { return "start a new session" }
func (UseConsole) String() string {
	return "make the terminal the controlling one and the standard streams"
}
func (a SetUmask) String() string { return fmt.Sprintf("set the umask to %04o", a.Mask) }

func (a SetIDs) String() string {
	s := fmt.Sprintf("become user %d, group %d", a.UID, a.GID)
	switch {
	case a.KeepGroups:
		s += ", the other groups as they are"
	case len(a.Groups) > 0:
		s += ", other groups " + strings.Trim(fmt.Sprint(a.Groups), "[]")
	default:
		s += ", no other groups"
	}
	return s
}

func (a SetCapabilities) String() string {
	return "set capabilities: " + sets(a.Effective, a.Permitted, a.Inheritable, a.Ambient) + a.Securebits.suffix()
}

// sets describes the four sets of a thread; effective only where it is not the same as permitted.
func sets(effective, permitted, inheritable, ambient uint64) string {
	if effective|permitted|inheritable|ambient == 0 {
		return "none"
	}
	s := "permitted " + capabilityWords(permitted)
	if effective != permitted {
		s += "; effective " + capabilityWords(effective)
	}
	if inheritable != 0 {
		s += "; inheritable " + capabilityWords(inheritable)
	}
	if ambient != 0 {
		s += "; ambient " + capabilityWords(ambient)
	}
	return s
}

func (SetNoNewPrivileges) String() string { return "set no_new_privs" }

func (a ChangeDirectory) String() string {
	return "enter " + a.Path
}

func (a ResolveExecutable) String() string { return "make sure that " + a.Name + " can be executed" }

func (a Verify) String() string {
	s := fmt.Sprintf("read back: user %d, group %d, bounding set %s; capabilities %s", a.UID, a.GID, capabilityWords(a.Bounding),
		sets(a.Effective, a.Permitted, a.Inheritable, a.Ambient)) + a.Securebits.suffix()
	if a.NoNewPrivileges {
		s += "; no_new_privs"
	}
	return s
}

func (a AwaitStart) String() string {
	if a.Listener != "" {
		return "wait for start on " + string(a.Listener)
	}
	return "wait for start"
}

func (a CloseDescriptors) String() string {
	if a.Preserve > 0 {
		return "close every descriptor above " + strconv.FormatUint(uint64(a.Preserve)+2, 10)
	}
	return "close every descriptor but the standard streams"
}

func (a LoadSeccomp) String() string {
	s := "load the system-call filter of " + plural(len(a.Program)/8, "instruction")
	if len(a.Denies) > 0 {
		s += ", which denies " + enumerate(a.Denies) + " namespaces"
	}
	return s
}

func (a Exec) String() string {
	words := make([]string, len(a.Args))
	for i, w := range a.Args {
		if words[i] = w; w == "" || strings.ContainsAny(w, " \t\n\"'\\") {
			words[i] = strconv.Quote(w)
		}
	}
	return "execute " + strings.Join(words, " ")
}

func (a SetScheduler) String() string {
	name := strconv.FormatUint(uint64(a.Policy), 10)
	for _, p := range schedulerPolicies {
		if p.number == a.Policy {
			name = string(p.name)
		}
	}
	s := "schedule by " + name
	switch {
	case a.Priority != 0:
		s += " with priority " + strconv.FormatUint(uint64(a.Priority), 10)
	case a.Period != 0 || a.Deadline != 0:
		s += fmt.Sprintf(" with %d ns of every %d ns, due after %d ns", a.Runtime, a.Period, a.Deadline)
	default:
		s += " with nice value " + strconv.Itoa(int(a.Nice))
	}
	return s
}

func (a SetIOPriority) String() string {
	return "set the I/O priority to " + string(ioPriorityClasses[a.Class]) + " " + strconv.Itoa(int(a.Level))
}

func (a SetAffinity) String() string {
	if a.Initial {
		return "start on the CPUs " + a.CPUs
	}
	return "run on the CPUs " + a.CPUs
}

func (a SetMemoryPolicy) String() string {
	s := "set the memory policy to " + string(memoryModes[a.Mode])
	if a.Nodes != "" {
		s += " on the nodes " + a.Nodes
	}
	return s
}

func (a SetPersonality) String() string {
	return "set the personality to 0x" + strconv.FormatUint(uint64(a.Persona), 16)
}
