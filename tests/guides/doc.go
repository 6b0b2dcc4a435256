// Package guides runs the commands of the documentation, in order, and compares what they print with what stands there.
//
// Package guide says how a page is written; "$ " is the prompt of alice.
//
// The shells are in a mount namespace with an /etc, /home, /run, /srv and /var/lib of their own: the machine has no policy, no
// ledger and no subordinate IDs, and keeps nothing of what is done there.
package guides
