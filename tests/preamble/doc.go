// Package preamble tests what the runtime is inside the container before it becomes the payload: how small, how
// unreachable, and what it lets through. CVE numbers name the attacks that are tried.
package preamble
