// Package policy is what an administrator says about all containers of a machine: /etc/bailey/policy.toml.
//
// It reads the files (Load), decides what holds for one container (Policy.Decide), and carries out the part of
// it that is an edit or a check of config.json (Apply). What takes more than that, such as a user namespace
// with IDs of its own or limits for nested namespaces, is left in the Decision for those who make the
// container. docs/policy.md is the guide for administrators; what it says of precedence is decided here.
//
// Without a file there is no policy: one lstat(2), nothing decided, nothing changed. A file that is wrong in
// any way is an error, and no container starts: what a mistyped rule meant to forbid must not be allowed.
//
// The package must not depend on the order of maps, and must not do anything to a container itself.
package policy
