//go:build faults

// Package faultpoint marks the places where a test build may end the program with SIGKILL, so that tests can
// do it at every one of them. In other builds it is nothing.
package faultpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

var passed atomic.Int64

// Here is a place right before something is changed outside of the program. The Nth of them that the program
// comes by is its end if BAILEY_FAULT is "go N".
func Here() {
	n, ok := strings.CutPrefix(os.Getenv("BAILEY_FAULT"), "go ")
	if at, err := strconv.ParseInt(n, 10, 64); ok && err == nil && passed.Add(1)-1 == at {
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	}
}
