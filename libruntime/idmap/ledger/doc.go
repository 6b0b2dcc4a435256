// Package ledger hands out ranges of subordinate IDs, one to each container, so that no two containers of a
// machine, whatever their --root, share a user or group ID, nor share one with an account of the machine.
//
// The ranges come from an account: its lines in /etc/subuid and /etc/subgid, those of "bailey" for root and those of
// the user for anybody else. The record of who has which is in a directory: /var/lib/bailey/ids, or
// bailey/ids below $XDG_DATA_HOME. There is no daemon. Whoever allocates locks the directory, reads the table,
// writes one slot of it, and may be killed between any two instructions.
//
// # What is on disk
//
// ids is a header and slots of 64 bytes each (see slot.go), names the container IDs and state directories of the same
// slots. A slot is written by one pwrite that stays within a page, which a signal does not interrupt, so the table is
// never seen half-changed; its name is written before it. Nothing of this is synced to the disk: after a loss of
// power no container lives, and a table of an earlier boot is read leniently. Only the table's first write of a boot is
// synced and renamed into place, so that what boot it is of can be relied upon.
//
// It is on a disk and not below /run for what outlives a boot: files. A range that was in use before the boot rests
// like one given back just now, and the place where the search goes on is kept.
//
// # When a range is free
//
// A range that is given back rests, for ten minutes by default, and even then its turn comes only when the search,
// which goes on where it stopped last, has been around. Where nothing else is left the range that has rested longest is
// given out early (Range.Early); Options.Strict refuses that.
//
// A slot whose container's directory is gone, whose creator has ended, and whose IDs no live namespace maps is garbage.
// It is looked for when space runs out, and by Check.
//
// # What is checked, and when
//
// Always: the table against itself, the IDs in the passwd and group files, the ranges of other accounts. What of the account's
// ranges belongs to somebody else is not handed out. Inside a user namespace: that the IDs exist there.
//
// Of the processes of the machine, always: whether one has a likely user of the range as its real user (the
// kernel looks that up without going through the processes). The ID maps of all of them are read, which takes
// microseconds for each, only when there is reason to: with the first allocation of a boot, before a range is handed out
// that was in use since the last time, before garbage is taken, and by Check and Conflicts. So a namespace
// that somebody else puts into the account's ranges later is noticed then, and not at once.
//
// A creator in another PID namespace than the caller's cannot be looked for, so it counts as alive: what it leaves
// is never garbage, and is given back by a Release or by the next boot.
//
// Not seen: namespaces without a process, IDs of network directories (NSS), processes hidden by hidepid or by a PID
// namespace, and files.
//
// The package makes no namespaces and writes no maps.
package ledger
