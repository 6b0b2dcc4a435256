package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/nsexec"
)

// payloadSignals returns the signals that reach this process from here on, for a command that passes them on
// to a payload.
func payloadSignals() *libruntime.Signals {
	signals := make(chan os.Signal, 64)
	ready := make(chan struct{})
	caught := &libruntime.Signals{C: signals, Ready: ready}
	held := nsexec.HeldSignals()
	if held != (unix.Sigset_t{}) {
		if fd, err := unix.Signalfd(-1, &held, unix.SFD_CLOEXEC|unix.SFD_NONBLOCK); err == nil {
			go readSignals(os.NewFile(uintptr(fd), "signals"), signals)
			go func() {
				// Go unblocks these in each of its threads, whatever the process began with. To
				// catch each takes it two context switches, so they are caught beside the rest.
				signal.Notify(signals, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGABRT)
				close(ready)
			}()
			return caught
		}
	}
	// The entry point has taken the command line for another one.
	signal.Notify(signals)
	close(ready)
	return caught
}

// readSignals receives signals that are blocked in all threads. It ends with the program.
func readSignals(f *os.File, signals chan<- os.Signal) {
	var info unix.SignalfdSiginfo
	buf := (*[unsafe.Sizeof(info)]byte)(unsafe.Pointer(&info))
	for {
		n, err := f.Read(buf[:])
		if err != nil || n != len(buf) {
			return
		}
		signals <- syscall.Signal(info.Signo)
	}
}

// untilSignal returns a context that the signals which ask a program to end cancel, so that what was half
// done is undone first.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	// Beside what follows, because Go needs two context switches for each signal.
	go func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
		cancel(fmt.Errorf("interrupted by signal: %v", <-signals))
	}()
	return ctx
}
