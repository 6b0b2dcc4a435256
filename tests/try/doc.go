// Package try tests `bailey try`: what a command in the sandbox sees, what it is given, what it cannot do whatever it tries,
// and that nothing is left of it.
package try
