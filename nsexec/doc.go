// Package nsexec executes plans: it encodes a plan, hands it to the preamble (the C program in this
// directory, which is the only code of bailey's that runs inside a container's namespaces), answers what
// the preamble asks, and turns its reports into errors that name the operation and its origin.
//
// It knows plans and nothing above them; it decides nothing about a container.
package nsexec
