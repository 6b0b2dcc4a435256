//go:build !faults

// Package faultpoint marks the places where a test build may end the program with SIGKILL, so that tests can
// do it at every one of them. In other builds it is nothing.
package faultpoint

// Here is a place right before something is changed outside of the program.
func Here() {}
