package libruntime

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/libruntime/store"
	"github.com/bailey-oci/bailey/nsexec"
	"github.com/bailey-oci/bailey/spec"
)

// AddMounts mounts what is listed, as config.json's mounts, in a container that runs or waits for its start. If one
// fails, those before it stay.
func (rt *Runtime) AddMounts(id string, mounts []specs.Mount) error {
	return rt.changeMounts(id, mounts, false)
}

// RemoveMounts unmounts the destinations of the mounts listed.
func (rt *Runtime) RemoveMounts(id string, mounts []specs.Mount) error {
	return rt.changeMounts(id, mounts, true)
}

func (rt *Runtime) changeMounts(id string, mounts []specs.Mount, remove bool) error {
	c, _, status, err := rt.live(id, "change the mounts of")
	if err != nil {
		return err
	}
	defer c.Close()
	if status == store.Creating {
		return cannot("cannot change the mounts of a container that is being created", "")
	}
	s, err := c.spec()
	if err != nil {
		return err
	}
	if c.rec.IDs.Size != 0 && os.Geteuid() == 0 {
		mounts = withOwners(c.rec.Bundle, mounts)
	}
	s.Mounts = mounts
	s.Linux.IntelRdt = nil // the process that mounts is not the payload's
	if err := spec.Validate(s); err != nil {
		return ofMountsFile(err)
	}
	if !hasNamespace(s, specs.MountNamespace) {
		return cannot("cannot change the mounts of a container without a mount namespace of its own", "")
	}
	if c.rec.Sealed && !remove && mayMount(s.Process) {
		rt.warn("what is mounted now is outside of the seal: with CAP_SYS_ADMIN the payload can unmount it or make it writable")
	}
	pl, err := plan.CompileMounts(s, remove, plan.ExecOptions{ID: id, Bundle: c.rec.Bundle, NoMountLabel: !hasSELinux()},
		sourceLinks(&bundle{path: c.rec.Bundle, spec: s}))
	if err != nil {
		return ofMountsFile(err)
	}
	files := make(map[plan.Slot]*os.File)
	pidfd, err := c.process().open()
	if err != nil {
		return notRunning(err)
	}
	files[plan.SlotContainer] = os.NewFile(uintptr(pidfd), "pidfd")
	for _, op := range pl.Ops {
		if op.Where() != plan.Host {
			continue
		}
		err := openInto(files, op)
		if errors.Is(err, unix.EPERM) && os.Geteuid() != 0 {
			err = &fault.Error{Step: op.String(), Origin: op.Origin, Err: unix.EPERM,
				Cause:  "an ordinary user may take mounts of the host into a container only while it is made",
				Remedy: "have the mount in config.json, or run bailey as root"}
		}
		if err != nil {
			closeAll(files)
			return ofMountsFile(err)
		}
	}
	preamble, err := nsexec.Take(nil)
	if err != nil {
		closeAll(files)
		return err
	}
	init, err := preamble.Run(pl, &nsexec.Server{
		Descriptors: files, Cloned: func(int) error { return nil },
		Asked: func(op plan.Op, received *os.File) (*os.File, error) {
			if a, ok := op.Action.(plan.MapOwners); ok {
				defer received.Close()
				return nil, mapOwners(int(received.Fd()), false, files[a.IDMap], "")
			}
			return nil, nil // ReportReady
		},
	})
	if err != nil {
		return ofMountsFile(sealedMount(err, c.rec.Sealed && remove))
	}
	init.End()
	return nil
}

// mayMount reports whether a process of the payload can come by the capability that mounting takes.
func mayMount(p *specs.Process) bool {
	return p != nil && p.Capabilities != nil && slices.Contains(p.Capabilities.Bounding, "CAP_SYS_ADMIN")
}

// sealedMount explains why a mount cannot be removed, where the seal is the reason.
func sealedMount(err error, sealed bool) error {
	var f *fault.Error
	if sealed && errors.As(err, &f) && f.Syscall == "umount2" && errors.Is(err, unix.EINVAL) {
		f.Cause = "the container is sealed: what was mounted when it was made is locked, for everybody"
		f.Remedy = "make the container without the mount, or without the seal"
	}
	return err
}

// withOwners has bind mounts show the owners of files as the container's own IDs, as they do in a container that was made with
// IDs from the ledger.
func withOwners(path string, mounts []specs.Mount) []specs.Mount {
	mounts = slices.Clone(mounts)
	skip := unmappable(&bundle{path: path, spec: &specs.Spec{Mounts: mounts}}, nil)
	for i := range mounts {
		m := &mounts[i]
		if !plan.IsBind(m) || skip[i] || len(m.UIDMappings) > 0 || slices.ContainsFunc(m.Options, func(o string) bool { return strings.Contains(o, "idmap") }) {
			continue
		}
		option := "idmap"
		if slices.Contains(m.Options, "rbind") {
			option = "ridmap"
		}
		m.Options = append(slices.Clone(m.Options), option)
	}
	return mounts
}

// ofMountsFile makes an error about the mounts of config.json one about those of the caller's file.
func ofMountsFile(err error) error {
	var f *fault.Error
	if errors.As(err, &f) && strings.HasPrefix(f.Origin, "/mounts") {
		f.Origin = "mounts file " + f.Origin
	}
	return err
}
