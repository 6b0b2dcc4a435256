//go:build faults

package nsexec

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// injectFault reads BAILEY_FAULT="preamble N" or "bailey N", which ends the preamble or bailey itself with
// SIGKILL right before the preamble's operation N. Test builds only.
func injectFault(h *wireHeader) {
	var who string
	var at uint32
	if n, _ := fmt.Sscanf(os.Getenv("BAILEY_FAULT"), "%8s %d", &who, &at); n != 2 {
		return
	}
	h.fault_op = at
	switch who {
	case "preamble":
		h.fault_kind = 1
	case "bailey":
		h.fault_kind = 2
	}
}

// endForTest ends this process because the preamble has come to the operation at which it should.
func endForTest() { _ = unix.Kill(os.Getpid(), unix.SIGKILL) }
