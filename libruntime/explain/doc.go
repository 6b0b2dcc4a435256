// Package explain finds out why the kernel has refused something: it turns a failure and facts of the machine into a cause
// and a remedy.
//
// It is asked only after a failure, so it may take its time. It never goes by the errno alone: each cause that it names was
// looked for and found, and where nothing is found it says nothing. The facts are files (below Machine.Files), what the
// failing process has sent along, and, for namespaces, trying it again by halves. Everything else is a function of these,
// which is how it is tested.
//
// The package must change nothing on the machine, and needs no privileges beyond those that its caller has.
package explain
