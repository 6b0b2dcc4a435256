package store

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/bailey-oci/bailey/internal/fault"
)

// Status is where a container is in its life. In a Record it says what was begun last; whether the
// process still lives only the kernel knows.
type Status string

// The statuses of the runtime specification, and paused. The last two are never on record.
const (
	Creating Status = "creating"
	Created  Status = "created"
	Running  Status = "running"
	Paused   Status = "paused"
	Stopped  Status = "stopped"
)

// Record is what is known of a container between two commands: the content of state.json.
type Record struct {
	// Version is the ociVersion of config.json.
	Version string
	ID      string
	// Status is Creating, Created or Running.
	Status Status
	// PID is the process ID of the container's init as its maker sees it, 0 before there is one.
	PID int
	// StartTime is the init's start in clock ticks after boot (/proc/PID/stat, field 22). Together
	// with PID it names the process for as long as the machine runs.
	StartTime uint64
	// Bundle and Rootfs are absolute paths.
	Bundle, Rootfs string
	Created        time.Time
	// UID is the user that made the container.
	UID         int
	Annotations map[string]string
	// CgroupPaths are the container's cgroups: the absolute path for every v1 controller, and under
	// "" for the unified hierarchy.
	CgroupPaths map[string]string
	// Unit is the name of systemd's unit with that cgroup, "" if systemd has nothing to do with it.
	Unit string
	// Resctrl are the directories of the resctrl filesystem that end with the container, in that order.
	Resctrl []string
	// SharedPIDs says that the container has no pid namespace of its own, so that its other processes
	// do not end with its init.
	SharedPIDs bool
	// Hooks are the points (startContainer, poststart, poststop) that have hooks and are still to come,
	// so that commands after create need not read config.json for nothing.
	Hooks []string
	// OwnIDs says that the container got a user namespace, with its maker's own IDs, that its configuration has not.
	OwnIDs bool
	// IDs are those that the container has from the ledger, in a user namespace that its configuration has not.
	IDs IDs
	// OverlayWork is a directory that ends with the container: the work directory of the overlay that is its root.
	OverlayWork string
	// Policy is what a policy has decided about the container, as JSON; nil where none has.
	Policy jsontext.Value
	// Sealed says that the payload is in a user and a mount namespace inside of those that the configuration says.
	Sealed bool
	// DeniedNamespaces (CLONE_NEW* flags) are those that the system-call filter denies besides the configuration's.
	DeniedNamespaces uint64
	// Securebits (SECBIT_* flags) are those of every process that bailey executes in the container.
	Securebits uint8
	// CgroupsDisabled and Rootless are choices of create that later commands must make again.
	CgroupsDisabled, Rootless bool
}

// IDs are Size user IDs of the host from UID on, and as many group IDs from GID on.
type IDs struct{ UID, GID, Size uint32 }

// encode is written by hand because a start writes the record three times and the tables of a
// reflecting encoder cost more than all three.
func (r *Record) encode() ([]byte, error) {
	b := make([]byte, 0, 1024)
	var err error
	str := func(key, value string) {
		b = append(b, `,"`+key+`":`...)
		b, err = appendString(b, err, key, value)
	}
	table := func(key string, m map[string]string) {
		if len(m) == 0 {
			return
		}
		b = append(b, `,"`+key+`":{`...)
		for i, k := range slices.Sorted(maps.Keys(m)) {
			if i > 0 {
				b = append(b, ',')
			}
			b, err = appendString(b, err, key, k)
			b = append(b, ':')
			b, err = appendString(b, err, key, m[k])
		}
		b = append(b, '}')
	}
	b = append(b, `{"pid":`...)
	b = strconv.AppendInt(b, int64(r.PID), 10)
	b = append(b, `,"startTime":`...)
	b = strconv.AppendUint(b, r.StartTime, 10)
	b = append(b, `,"uid":`...)
	b = strconv.AppendInt(b, int64(r.UID), 10)
	b = append(b, `,"cgroupsDisabled":`...)
	b = strconv.AppendBool(b, r.CgroupsDisabled)
	b = append(b, `,"rootless":`...)
	b = strconv.AppendBool(b, r.Rootless)
	if r.IDs.Size != 0 {
		b = append(b, `,"ids":{"uid":`...)
		b = strconv.AppendUint(b, uint64(r.IDs.UID), 10)
		b = append(b, `,"gid":`...)
		b = strconv.AppendUint(b, uint64(r.IDs.GID), 10)
		b = append(b, `,"size":`...)
		b = strconv.AppendUint(b, uint64(r.IDs.Size), 10)
		b = append(b, '}')
	}
	if r.Policy != nil {
		b = append(append(b, `,"policy":`...), r.Policy...)
	}
	if r.Sealed {
		b = append(b, `,"sealed":true`...)
	}
	if r.DeniedNamespaces != 0 {
		b = append(b, `,"deniedNamespaces":`...)
		b = strconv.AppendUint(b, r.DeniedNamespaces, 10)
	}
	if r.Securebits != 0 {
		b = append(b, `,"securebits":`...)
		b = strconv.AppendUint(b, uint64(r.Securebits), 10)
	}
	if r.OwnIDs {
		b = append(b, `,"ownIDs":true`...)
	}
	b = append(b, `,"sharedPIDs":`...)
	b = strconv.AppendBool(b, r.SharedPIDs)
	list := func(key string, l []string) {
		if len(l) == 0 {
			return
		}
		b = append(b, `,"`+key+`":`...)
		for i, s := range l {
			b = append(b, "[,"[min(i, 1)])
			b, err = appendString(b, err, key, s)
		}
		b = append(b, ']')
	}
	list("hooks", r.Hooks)
	list("resctrl", r.Resctrl)
	str("ociVersion", r.Version)
	str("id", r.ID)
	str("status", string(r.Status))
	str("bundle", r.Bundle)
	str("rootfs", r.Rootfs)
	if r.Unit != "" {
		str("unit", r.Unit)
	}
	if r.OverlayWork != "" {
		str("overlayWork", r.OverlayWork)
	}
	str("created", r.Created.UTC().Format(time.RFC3339Nano))
	table("annotations", r.Annotations)
	table("cgroupPaths", r.CgroupPaths)
	b = append(b, "}\n"...)
	return b, err
}

// appendString appends a JSON string. JSON holds no other text than UTF-8, and a path that is none
// would come back as another path.
func appendString(b []byte, err error, key, value string) ([]byte, error) {
	if !utf8.ValidString(value) && err == nil {
		err = &fault.Error{Step: "write state.json", Origin: "state.json /" + key,
			Err: fmt.Errorf("%q is not valid UTF-8", shorten(value))}
	}
	b, quoteErr := jsontext.AppendQuote(b, value)
	if err == nil && quoteErr != nil {
		err = fault.Wrap(quoteErr, "write state.json", "state.json /"+key)
	}
	return b, err
}
