// Package guides runs the commands of the documentation, in order, and compares what they print with what stands there.
//
// A block that begins with ```console is run. In it "# " is the prompt of root, "$ " that of an ordinary user, alice, "> "
// goes on with the command of the line before, and everything else is output. "…" stands for any text within a line, and for any
// number of lines where it is all of one.
//
// The shells are in a mount namespace with an /etc, /home, /run, /srv and /var/lib of their own: the machine has no policy, no
// ledger and no subordinate IDs, and keeps nothing of what is done there.
package guides
