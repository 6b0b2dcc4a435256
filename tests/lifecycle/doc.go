// Package lifecycle tests a container's life through the command line: everything that config.json and the
// flags ask for is read back from the kernel, and after every test nothing may be left.
package lifecycle
