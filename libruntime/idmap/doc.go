// Package idmap writes the ID mappings of a new user namespace, directly or, where bailey runs as an
// ordinary user, through newuidmap(1) and newgidmap(1), and explains why that fails.
//
// That mappings do not overlap, are not empty and do not overflow is checked where config.json is; this
// package must not make mappings up, and it writes what it is given or fails.
package idmap
