package libruntime

import (
	"maps"
	"os"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/faultpoint"
	"github.com/bailey-oci/bailey/libruntime/criu"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/libruntime/policy"
	"github.com/bailey-oci/bailey/libruntime/store"
)

// RestoreOptions are the caller's choices for a container that is restored. Of those of Run, NoPivot, NoNewKeyring,
// PreserveFDs and ListenFDs have no meaning here.
type RestoreOptions struct {
	RunOptions
	ImageOptions
	// LSMProfile and LSMMountContext replace the AppArmor profile or SELinux label, and the label of mounts, that the
	// container had.
	LSMProfile, LSMMountContext string
}

// Restore makes a container of the images of a checkpoint and lets it go on; see Run for the rest. Of the hooks it runs
// prestart, createRuntime, poststart and poststop; those in the container's namespaces have no place in what CRIU does.
func (rt *Runtime) Restore(opts *RestoreOptions) (status int, err error) {
	if err := needsMachine("restore checkpoints"); err != nil {
		return 0, err
	}
	r := &restoration{
		creation: &creation{rt: rt, opts: &opts.CreateOptions, attached: true, detach: opts.Detach},
		opts:     opts,
	}
	r.relay.caught = opts.Signals
	if err := opts.adopt(); err != nil {
		return 0, err
	}
	pid, err := r.make()
	if err != nil {
		return 0, err
	}
	term, err := r.running(pid)
	return rt.follow(r.creation, &opts.RunOptions, pid, term, err)
}

// restoration is the making of one container by CRIU.
type restoration struct {
	*creation
	opts *RestoreOptions
	// files are what CRIU inherits, streams those of them that are files of the caller's.
	files   []criu.Inherited
	streams []stream
}

// stream is a regular file that the caller has for a standard stream. CRIU opens it again, wants it to have the size that
// the container's had, and goes to where that one was in it; this is put right before the container runs.
type stream struct {
	// number is that of the descriptor in the container, fd that of the caller's file.
	number, fd int
	position   int64
	size       int64
	// resized: it has been given the size that CRIU wants.
	resized bool
}

// take notes what is to be undone of a stream, and gives it the size that CRIU wants.
func (r *restoration) take(fd int, e *externalDescriptor) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	if len(r.spec.Linux.UIDMappings) > 0 && st.Mode&0o002 == 0 {
		return &fault.Error{Object: "descriptor " + strconv.Itoa(e.FD), Err: unix.EACCES,
			Cause:  "CRIU opens the file again as root of the container's user namespace, who may not",
			Remedy: "use a pipe, or make it writable for everybody"}
	}
	position, err := unix.Seek(fd, 0, unix.SEEK_CUR)
	if err != nil {
		return err
	}
	s := stream{number: e.FD, fd: fd, position: position, size: st.Size}
	if e.Size != nil && *e.Size > st.Size {
		if err := unix.Ftruncate(fd, *e.Size); err != nil {
			return err
		}
		s.resized = true
	}
	r.streams = append(r.streams, s)
	return nil
}

// giveBack gives the caller's files their sizes again, and the container's init, if it is there (pid), their positions.
func (r *restoration) giveBack(pid int) error {
	failed := func(call string, err error) error {
		return &fault.Error{Step: "return to the place in the standard streams", Syscall: call, Err: err}
	}
	for _, s := range r.streams {
		if s.resized {
			if err := unix.Ftruncate(s.fd, s.size); err != nil {
				return failed("ftruncate", err)
			}
		}
		if pid == 0 {
			continue
		}
		pidfd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return failed("pidfd_open", err)
		}
		fd, err := unix.PidfdGetfd(pidfd, s.number, 0)
		unix.Close(pidfd)
		if err != nil {
			return failed("pidfd_getfd", err)
		}
		_, err = unix.Seek(fd, s.position, unix.SEEK_SET)
		unix.Close(fd)
		if err != nil {
			return failed("lseek", err)
		}
	}
	r.streams = nil
	return nil
}

// make takes everything up to the restored process, which runs. On an error nothing is left.
func (r *restoration) make() (pid int, err error) {
	if r.bundle, err = loadBundle(r.opts.Bundle, r.opts.Config); err != nil {
		return 0, err
	}
	if err := checkDumpable(r.spec); err != nil {
		return 0, err
	}
	if err := r.rt.decide(r.bundle, r.creation.opts); err != nil {
		return 0, err
	}
	if d := r.decision; d != nil && (r.idsWanted != 0 || d.Seal.Value != "" && d.Seal.Value != policy.SealNever ||
		d.Securebits.Value != 0 || len(d.Namespaces) > 0 || d.Capabilities.Value.Limited || d.NoNewPrivileges.IsSet()) {
		return 0, &fault.Error{Step: "restore the container", Err: unix.EOPNOTSUPP,
			Cause:  "processes come back as they were when they were dumped, whatever the policy says of them now",
			Remedy: "have a rule of the policy make an exception for this container"}
	}
	var o *criu.Options
	var d *dumped
	var client *criu.Client
	over := make(chan struct{})
	defer close(over)
	err = apart(over, func() (err error) {
		if err = bindRoot(r.rootfs()); err != nil {
			return err
		}
		yard, err := makeYard()
		if err != nil {
			return err
		}
		// CRIU mounts things below the directory of the images, which therefore has to be one of the namespace.
		if o, err = r.opts.criu(r.spec); err != nil {
			return err
		}
		if d, err = readDumped(o.Images); err == nil {
			err = r.inherit(d)
		}
		o.CgroupYard = yard
		if err == nil && len(r.spec.Linux.UIDMappings) > 0 {
			r.showImages(o)
		}
		if err == nil {
			client, err = criu.StartWith(r.files)
		}
		return err
	})
	if o != nil {
		defer o.Images.Close()
		defer o.Work.Close()
	}
	defer func() {
		if giveErr := r.giveBack(0); giveErr != nil {
			r.rt.warn(giveErr.Error())
		}
		for _, f := range r.files {
			f.File.Close()
		}
	}()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	client.Await = r.relay.await
	r.preamble = client.PID()
	if err := r.record(); err != nil {
		return 0, err
	}
	if err = r.prepare(o, d); err == nil {
		if pid, err = client.Restore(o); err != nil {
			err = explainCRIU(err, "restore the container", o)
		}
	}
	if err != nil {
		client.Close() // before what it works on is removed
		r.undo(r.pid)
		return 0, err
	}
	return pid, nil
}

// inherit opens what CRIU is given in the place of what it has not dumped.
func (r *restoration) inherit(d *dumped) error {
	for _, e := range d.Descriptors {
		if slices.ContainsFunc(r.files, func(f criu.Inherited) bool { return f.Key == e.Key }) {
			continue
		}
		var fd int
		var err error
		if e.Null {
			fd, err = openHost("/dev/null", unix.O_RDWR) // one file for every stream that it was
		} else {
			fd, err = unix.FcntlInt(r.stream(lastWith(d.Descriptors, e.Key)), unix.F_DUPFD_CLOEXEC, firstInherited)
		}
		if err != nil {
			return &fault.Error{Step: "pass on the standard streams", Err: err}
		}
		r.files = append(r.files, criu.Inherited{Key: e.Key, File: os.NewFile(uintptr(fd), e.Key)})
		if err := r.take(fd, &e); err != nil {
			return &fault.Error{Step: "pass on the standard streams", Err: err}
		}
	}
	for _, n := range d.Namespaces {
		i := slices.IndexFunc(r.spec.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return ns.Type == n.Kind })
		if i < 0 || r.spec.Linux.Namespaces[i].Path == "" {
			return &fault.Error{Step: "restore the container", Origin: "/linux/namespaces", Err: unix.EINVAL,
				Cause:  "it was in a " + string(n.Kind) + " namespace given by path when the checkpoint was made, and config.json gives none",
				Remedy: "give the path of the namespace that it is to be in now"}
		}
		origin := "/linux/namespaces/" + strconv.Itoa(i)
		fd, err := openNamespace(plan.OpenNamespace{Type: externalKinds[n.Kind].kind, Path: r.spec.Linux.Namespaces[i].Path})
		if err != nil {
			return fault.Wrap(err, "open the namespace "+r.spec.Linux.Namespaces[i].Path, origin)
		}
		r.files = append(r.files, criu.Inherited{Key: n.key(), File: os.NewFile(uintptr(fd), n.key())})
	}
	return nil
}

// stream returns the descriptor that is to become a standard stream.
func (r *restoration) stream(number int) uintptr {
	if s := r.opts.Streams; s != nil && s[number] != nil {
		return s[number].Fd()
	}
	return uintptr(number)
}

// lastWith returns the last descriptor with a key: of streams that were one file, an output can stand for all.
func lastWith(list []externalDescriptor, key string) int {
	last := 0
	for _, e := range list {
		if e.Key == key {
			last = e.FD
		}
	}
	return last
}

// prepare makes what has to be there when CRIU begins, and completes its options.
func (r *restoration) prepare(o *criu.Options, d *dumped) error {
	faultpoint.Here()
	if err := r.dir.WriteConfig(r.data); err != nil {
		return err
	}
	if err := r.cgroup.Create(); err != nil {
		return err
	}
	r.rt.warn(r.cgroup.Warnings()...)
	if err := r.place(o); err != nil {
		return err
	}
	mounts := &mountpoints{spec: r.spec, rootfs: r.rootfs()}
	for _, m := range d.Mounts {
		source, err := m.source(r.bundle, r.rec.CgroupPaths, r.dir.MakeNotify)
		if err != nil {
			return err
		}
		if err := mounts.make(m.Path, source); err != nil {
			return err
		}
		o.External = append(o.External, "mnt["+m.Path+"]:"+inYard(source))
	}
	for _, ns := range r.spec.Linux.Namespaces {
		if ns.Path == "" || externalKinds[ns.Type].name != "" {
			continue
		}
		o.Join = append(o.Join, criu.Namespace{Kind: string(ns.Type), Path: ns.Path})
	}
	o.Root, o.LogFile, o.Inherit, o.Sibling = r.rootfs(), restoreLog, r.files, true
	o.LSMProfile, o.LSMMountContext = r.opts.LSMProfile, r.opts.LSMMountContext
	o.Notify = r.reached
	return nil
}

// place puts CRIU into the container's cgroups, so that whatever it makes can be found and ended there should bailey be
// killed, and tells it where in the hierarchies they are.
func (r *restoration) place(o *criu.Options) error {
	files, err := r.cgroup.ProcsFiles(nil)
	if err != nil {
		return err
	}
	for _, f := range files {
		_, writeErr := f.WriteString(strconv.Itoa(r.preamble))
		f.Close()
		if writeErr != nil && err == nil {
			err = fault.Wrap(reason(writeErr), "put CRIU into the container's cgroup", "/linux/cgroupsPath")
		}
	}
	if err != nil || o.Cgroups == criu.IgnoreCgroups {
		return err
	}
	inside, err := r.cgroup.Inside()
	if err != nil {
		return err
	}
	for _, controller := range slices.Sorted(maps.Keys(inside)) {
		o.CgroupRoots = append(o.CgroupRoots, criu.CgroupRoot{Controller: controller, Path: inside[controller]})
	}
	return nil
}

// reached is called when CRIU has reached a point in its work.
func (r *restoration) reached(script string, pid int, terminal *os.File) error {
	faultpoint.Here()
	switch script {
	case "setup-namespaces":
		// The first that is heard of the container's init.
		if err := r.cloned(pid); err != nil {
			return err
		}
		h := r.spec.Hooks
		if h == nil {
			return nil
		}
		if len(h.Prestart) > 0 { //nolint:staticcheck // deprecated, and still in use
			if err := r.runHooks(plan.RunHooks{Point: "prestart"}); err != nil {
				return err
			}
		}
		if len(h.CreateRuntime) > 0 {
			return r.runHooks(plan.RunHooks{Point: "createRuntime"})
		}
	case "orphan-pts-master":
		var err error
		r.console, err = takeConsole(terminal, r.opts.ConsoleSocket, r.opts.Console)
		return err
	case "post-restore":
		if r.pid == 0 { // without namespaces to set up
			if err := r.cloned(pid); err != nil {
				return err
			}
		}
		// It does not run yet.
		if err := r.giveBack(r.pid); err != nil {
			return err
		}
		r.rec.Status = store.Running
		return r.dir.Write(r.rec)
	}
	return nil
}

// running does what is to be done once the restored container runs.
func (r *restoration) running(pid int) (term *terminal, err error) {
	r.hooked = true
	if r.console != nil {
		term, err = serveTerminal(r.console, nil)
		r.console = nil
		if err != nil {
			return nil, err
		}
	}
	if err := r.announce(pid); err != nil {
		return term, err
	}
	notify, err := r.rt.newNotifier(r.dir.NotifyPath(), pid)
	if err != nil {
		return term, err
	}
	if h := r.spec.Hooks; h != nil {
		err = runPoststart(&r.relay, r.rec, h.Poststart)
	}
	switch {
	case err != nil:
		notify.close()
		if r.creation.opts.PIDFile != "" {
			_ = os.Remove(r.creation.opts.PIDFile)
		}
	case r.detach: // that it was ready it has said long ago
		notify.close()
	default:
		notify.passAll(r.rt.warn)
	}
	return term, err
}
