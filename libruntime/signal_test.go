package libruntime

import (
	"strings"
	"syscall"
	"testing"
)

func TestParseSignal(t *testing.T) {
	for s, want := range map[string]syscall.Signal{
		"TERM": 15, "SIGTERM": 15, "term": 15, "sigKill": 9, "9": 9, "0": 0, "64": 64, "USR1": 10, "CHLD": 17,
		"RTMIN": 34, "SIGRTMIN": 34, "RTMIN+1": 35, "rtmin+30": 64, "RTMAX": 64, "RTMAX-0": 64, "RTMAX-30": 34,
	} {
		if got, err := ParseSignal(s); err != nil || got != want {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "SIG", "NOPE", "-9", "+9", "65", "9x", "9 ", " 9", "0x9", "999", "SIGSIGTERM", "RTMIN-1", "RTMAX+1", "RTMIN+",
		"RTMIN+31", "RTMIN1", "RTMIN++1", "RTMAX-31", "TERM\n",
	} {
		if got, err := ParseSignal(s); err == nil || !strings.Contains(err.Error(), "signal") {
			t.Errorf("%q: %d, %v", s, got, err)
		}
	}
}

func TestTerminates(t *testing.T) {
	for sig, want := range map[syscall.Signal]bool{
		0: false, syscall.SIGTERM: true, syscall.SIGKILL: true, syscall.SIGWINCH: false, syscall.SIGSTOP: false,
		syscall.SIGUSR1: true, 40: true,
	} {
		if terminates(sig) != want {
			t.Errorf("%v: %v", sig, !want)
		}
	}
}
