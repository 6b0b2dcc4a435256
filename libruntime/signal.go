package libruntime

import (
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// The real-time signals as the C library numbers them for programs: the kernel's first two are its own.
const (
	sigRTMin = 34
	sigRTMax = 64
)

// ParseSignal returns the signal that s names: a number from 0 to 64, or a name with or without SIG in
// any case, with RTMIN+n and RTMAX-n for the real-time ones. 0 sends nothing and only looks whether the
// process can be signalled.
func ParseSignal(s string) (syscall.Signal, error) {
	if n, err := strconv.ParseUint(s, 10, 8); err == nil && n <= sigRTMax && !strings.HasPrefix(s, "+") {
		return syscall.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if sig := unix.SignalNum("SIG" + name); sig != 0 {
		return sig, nil
	}
	if n, ok := realTime(name); ok {
		return syscall.Signal(n), nil
	}
	return 0, &fault.Error{Step: "unknown signal " + strconv.Quote(s), Origin: "command line",
		Remedy: "give a name such as TERM, or a number from 1 to 64; kill -l lists them"}
}

func realTime(name string) (int, bool) {
	base, sign := sigRTMin, 1
	rest, ok := strings.CutPrefix(name, "RTMIN")
	if !ok {
		base, sign = sigRTMax, -1
		if rest, ok = strings.CutPrefix(name, "RTMAX"); !ok {
			return 0, false
		}
	}
	if rest == "" {
		return base, true
	}
	want := byte('+')
	if sign < 0 {
		want = '-'
	}
	if rest[0] != want {
		return 0, false
	}
	n, err := strconv.ParseUint(rest[1:], 10, 8)
	if err != nil || n > sigRTMax-sigRTMin {
		return 0, false
	}
	return base + sign*int(n), true
}
