// Package attacks measures what attacks from inside of a container come to, under bailey in its configurations and under
// Debian's runc and crun, and compares that with the tables of docs/attacks.md.
//
// `make attacks` prints the tables, and with ATTACKS=-update writes them. What bailey's columns say has to be so; a peer that
// does something else, being of another version, is mentioned.
package attacks
