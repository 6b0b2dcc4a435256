// Package security attacks the runtime as a container's image, payload and neighbours can: one test for each
// class of attack that container runtimes have fallen to. A test passes when nothing outside the container
// has changed and nothing of the host can be reached.
package security
