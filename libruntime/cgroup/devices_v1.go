package cgroup

import (
	"github.com/bailey-oci/bailey/internal/fault"
	"golang.org/x/sys/unix"
)

// setDevicesV1 writes a ruleset to the v1 device controller: first the default, which clears all
// exceptions in force, then the exceptions. It must therefore not be used while processes depend on
// the devices; new containers have none yet.
func setDevicesV1(d dir, rs *ruleset) error {
	files := [2]string{"devices.deny", "devices.allow"}
	base, except := files[0], files[1]
	if rs.allowAll {
		base, except = except, base
	}
	fail := func(file, value, call string, err error) error {
		return &fault.Error{Step: "set the device rules", Origin: resOrigin + "/devices", Object: file + " = " + value, Syscall: call, Err: err,
			Cause: deviceCause(err)}
	}
	if call, err := d.write(base, "a"); err != nil {
		return fail(base, "a", call, err)
	}
	if len(rs.exceptions) == 0 {
		return nil
	}
	// One descriptor for all exceptions: each write is a rule of its own.
	fd, err := d.open(except, unix.O_WRONLY)
	if err != nil {
		return fail(except, "", "open", err)
	}
	defer unix.Close(fd)
	for _, dev := range rs.order {
		rule := dev.String() + " " + rs.exceptions[dev].String()
		if _, err := unix.Write(fd, []byte(rule)); err != nil {
			return fail(except, rule, "write", err)
		}
	}
	return nil
}

func deviceCause(err error) string {
	if err == unix.EPERM {
		return "the parent cgroup does not allow this access itself, or the caller has no CAP_SYS_ADMIN over the machine"
	}
	return ""
}
