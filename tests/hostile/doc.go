// Package hostile gives the runtime input that is broken or wants to do harm: configurations, root filesystems,
// command lines and state files. Each has to be refused within a time limit, with exit status 1 and an error of
// one line that names what is wrong, and has to leave nothing behind: no cgroup, mount, process or state
// directory, and nothing outside of what belongs to the container.
package hostile
