// Package prefault has the memory made in one go that a command comes to touch anyway, page by page: a command lives
// for milliseconds, and a page fault costs up to ten microseconds in a virtual machine. Being imported is all that it
// is for; because it imports next to nothing, that is done before most other packages are initialized.
package prefault

import (
	"syscall"
	"unsafe"
)

const (
	// heap is how much of the heap to make, in bytes: what every command comes to use. Where Go has mapped less
	// of it so far, the kernel stops there.
	heap = 640 << 10
	// stack is what the main goroutine's stack is to have room for, in bytes, so that it is not copied each time
	// that it outgrows 2, 4, 8, and 16 KiB.
	stack = 20 << 10

	// madvPopulateWrite is MADV_POPULATE_WRITE. A kernel before 5.14 refuses it, and pages are made when they
	// are touched.
	madvPopulateWrite = 23
)

// first is of a size of its own, so that it lies where the heap has not been used yet.
var first *[9 << 10]byte

func init() {
	first = new([9 << 10]byte)
	pages := uintptr(unsafe.Pointer(first)) &^ uintptr(syscall.Getpagesize()-1)
	_, _, _ = syscall.RawSyscall(syscall.SYS_MADVISE, pages, heap, madvPopulateWrite)
	first = nil
	grow()
}

// grow has a frame as large as the stack is to become.
//
//go:noinline
func grow() {
	var frame [stack]byte
	keep(&frame)
}

//go:noinline
func keep(*[stack]byte) {}
