// Package cli is the command line: one file per command, which turns flags into a call of libruntime and
// the result into text or JSON. It is a drop-in for runc's.
//
// It holds no logic about containers. Errors end up in one place (report.go), which writes them to standard
// error and to the log, where engines look for them.
package cli
