package seccomp

const origin = "/linux/seccomp"

// Program is a compiled profile.
type Program struct {
	// Filter is the program as an array of struct sock_filter (eight bytes each) in this machine's
	// byte order, as seccomp(2) wants it.
	Filter []byte
	// Flags are the SECCOMP_FILTER_FLAG_ bits for seccomp(2). With Notify they contain NEW_LISTENER,
	// and seccomp(2) returns the listener's descriptor.
	Flags uint32
	// Notify says that some system call is sent to a listener (SCMP_ACT_NOTIFY).
	Notify bool
	// Warnings say what of the profile is without effect, in words.
	Warnings []string
}

// Len returns the number of instructions.
func (p *Program) Len() int { return len(p.Filter) / insnSize }
