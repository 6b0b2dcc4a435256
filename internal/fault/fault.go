// Package fault holds the one error type of the program.
//
// Every failure that a user can meet names the step that failed, the object that it failed on, the
// field of config.json that asked for it, the system call and errno, and, where the program knows
// them, the likely cause and the remedy. The package formats errors; it must not decide anything and
// imports nothing of bailey's.
package fault

import (
	"errors"
	"strings"
	"syscall"
)

// Error is a failure with everything that is known of it. All fields but Step are optional.
type Error struct {
	// Step is what was being done, in words: "mount proc on /proc", "read config.json".
	Step string
	// Origin is the place in config.json that asked for it, as a JSON pointer (RFC 6901):
	// "/mounts/0". For other input it names the input: "--bundle", "state.json /pid".
	Origin string
	// Object is the thing the system call was given where Step does not already name it.
	Object string
	// Syscall is the name of the system call that failed.
	Syscall string
	// Err is the errno or the underlying error.
	Err error
	// Cause says in a sentence why this usually happens; Remedy what to do about it.
	Cause  string
	Remedy string
}

// New returns an error for a step that failed without an underlying error.
func New(step, origin string) *Error { return &Error{Step: step, Origin: origin} }

// Wrap returns an error for a step that failed because of err.
func Wrap(err error, step, origin string) *Error {
	return &Error{Step: step, Origin: origin, Err: err}
}

// Error returns the one-line form: "step (config.json /pointer): object: syscall: reason".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Step)
	if e.Origin != "" {
		if strings.HasPrefix(e.Origin, "/") {
			b.WriteString(" (config.json " + e.Origin + ")")
		} else {
			b.WriteString(" (" + e.Origin + ")")
		}
	}
	for _, s := range []string{e.Object, e.Syscall} {
		if s != "" {
			b.WriteString(": " + s)
		}
	}
	if e.Err != nil {
		b.WriteString(": " + Reason(e.Err))
	}
	return b.String()
}

// Unwrap returns the underlying error, so that errors.Is(err, unix.ENOENT) works.
func (e *Error) Unwrap() error { return e.Err }

// Reason returns the text of err; for an errno its symbolic name stands before the kernel's words,
// because engines look for the words ("no such file or directory") and people for the name.
func Reason(err error) string {
	if errno, ok := err.(syscall.Errno); ok { //nolint:errorlint // the text of a wrapped one has more to say
		if name := ErrnoName(errno); name != "" {
			return name + ": " + errno.Error()
		}
	}
	return err.Error()
}

// Explain returns the cause and the remedy of the outermost Error in err's chain that has them.
func Explain(err error) (cause, remedy string) {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return cause, remedy
		}
		if cause == "" {
			cause = e.Cause
		}
		if remedy == "" {
			remedy = e.Remedy
		}
		err = e.Err
	}
	return cause, remedy
}
