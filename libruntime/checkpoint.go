package libruntime

import (
	"bufio"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/userns"
	"github.com/bailey-oci/bailey/libruntime/cgroup"
	"github.com/bailey-oci/bailey/libruntime/criu"
	"github.com/bailey-oci/bailey/libruntime/store"
)

// ImageOptions are what checkpoint and restore have in common.
type ImageOptions struct {
	// Images is the directory of the images; a relative path counts from the working directory. Work is that of CRIU's
	// log and other files, that of the images where it is "".
	Images, Work string
	// TCPEstablished, ExternalUnixSockets, ShellJob and FileLocks allow what is not allowed without: established
	// connections, connections with processes outside, a session and terminal of the caller's, locks on files.
	TCPEstablished, ExternalUnixSockets, ShellJob, FileLocks bool
	// AutoDedup drops memory from the images of earlier dumps that later ones replace.
	AutoDedup bool
	// LazyPages leaves memory to be fetched when it is touched.
	LazyPages bool
	// Cgroups says what is done about the settings of cgroups.
	Cgroups criu.CgroupMode
	// EmptyNetwork leaves the content of the network namespace out.
	EmptyNetwork bool
}

// CheckpointOptions are the caller's choices for one checkpoint.
type CheckpointOptions struct {
	ImageOptions
	ID string
	// Parent is the directory of an earlier pre-dump, relative to Images.
	Parent string
	// PreDump dumps memory only and lets the container run on; a dump with this one as Parent has to follow.
	PreDump bool
	// LeaveRunning lets the container run on after the dump.
	LeaveRunning bool
	// TCPSkipInFlight leaves out connections that are not accepted yet.
	TCPSkipInFlight bool
	// LinkRemap allows files that were unlinked while they have other names.
	LinkRemap bool
	// StatusFD is a descriptor that CRIU writes a byte to when it is ready to serve lazy pages; -1 for none.
	StatusFD int
	// PageServer is where memory is sent; nil: it is written to Images.
	PageServer *criu.PageServer
}

// Names of CRIU's logs.
const (
	dumpLog    = "dump.log"
	restoreLog = "restore.log"
)

// Checkpoint dumps a container into files with CRIU. Unless it is left running, it ends and is deleted.
func (rt *Runtime) Checkpoint(opts *CheckpointOptions) error {
	if err := needsMachine("make checkpoints"); err != nil {
		return err
	}
	c, cg, status, err := rt.live(opts.ID, "checkpoint")
	if err != nil {
		return err
	}
	defer c.Close()
	if status != store.Running && status != store.Paused {
		return cannot("cannot checkpoint a container in the "+string(status)+" state", "start it first")
	}
	s, err := c.spec()
	if err != nil {
		return err
	}
	if c.rec.Sealed || c.rec.IDs.Size != 0 {
		return &fault.Error{Step: "checkpoint the container", Err: unix.EOPNOTSUPP,
			Cause:  "CRIU knows neither ID-mapped root filesystems nor user namespaces within others, and the container has one of both",
			Remedy: "start what is to be checkpointed without --userns auto and without a seal"}
	}
	if err := checkDumpable(s); err != nil {
		return err
	}
	o, err := opts.criu(s)
	if err != nil {
		return err
	}
	defer o.Images.Close()
	defer o.Work.Close()
	if err := opts.checkParent(o.Images); err != nil {
		return err
	}
	o.PID, o.Root = c.rec.PID, c.rec.Rootfs
	o.LogFile = dumpLog
	o.FreezeCgroup = inYard(freezer(c.rec.CgroupPaths))
	// In hierarchies that it has no cgroup of its own in, CRIU would take all that is there for the container's.
	o.CgroupControllers = slices.Sorted(maps.Keys(c.rec.CgroupPaths))
	dumped, err := dumpedContainer(c, s)
	if err != nil {
		return err
	}
	o.External = dumped.external()
	if !opts.PreDump {
		rt.warnOutside(c, cg)
	}
	if !opts.PreDump {
		// Before the dump, which with lazy pages ends only when the container has been restored.
		if err := dumped.write(o.Images); err != nil {
			return err
		}
	}
	if err := opts.dump(o); err != nil {
		return explainCRIU(err, "checkpoint the container", o)
	}
	if opts.PreDump || opts.LeaveRunning {
		return nil
	}
	return rt.afterDump(c, cg)
}

// warnOutside warns of processes that CRIU does not know of, because they are no descendants of the container's init: those
// that exec has put into it.
func (rt *Runtime) warnOutside(c *container, cg *cgroup.Manager) {
	pids, err := cg.AllPids()
	if err != nil {
		rt.warn("processes beside the container's init: " + err.Error())
		return
	}
	parents := make(map[int]int, len(pids))
	for _, pid := range pids {
		if data, err := readProc(strconv.Itoa(pid), "stat"); err == nil {
			parents[pid] = parentOf(data)
		}
	}
	for _, pid := range pids {
		at := pid
		for at != c.rec.PID && parents[at] != 0 {
			at = parents[at]
		}
		if _, alive := parents[pid]; alive && at != c.rec.PID {
			rt.warn("process " + strconv.Itoa(pid) + " was executed in the container and is not below its init: it is not dumped")
		}
	}
}

// dump has CRIU do it, if it and the kernel can.
func (opts *CheckpointOptions) dump(o *criu.Options) error {
	if wanted := (criu.Features{TrackMemory: opts.PreDump, LazyPages: opts.LazyPages}); wanted != (criu.Features{}) {
		if err := checkFeatures(wanted); err != nil {
			return err
		}
	}
	var client *criu.Client
	over := make(chan struct{})
	defer close(over)
	err := apart(over, func() (err error) {
		if o.CgroupYard, err = makeYard(); err == nil {
			client, err = criu.Start()
		}
		return err
	})
	if err != nil {
		return err
	}
	defer client.Close()
	if opts.PreDump {
		return client.PreDump(o)
	}
	return client.Dump(o)
}

func checkFeatures(wanted criu.Features) error {
	client, err := criu.Start()
	if err != nil {
		return err
	}
	defer client.Close()
	have, err := client.Features(wanted)
	if err != nil {
		return err
	}
	if wanted.TrackMemory && !have.TrackMemory {
		return &fault.Error{Step: "dump memory beforehand", Origin: "--pre-dump", Err: unix.EOPNOTSUPP,
			Cause: "the kernel does not tell which memory has changed (CONFIG_MEM_SOFT_DIRTY)"}
	}
	if wanted.LazyPages && !have.LazyPages {
		return &fault.Error{Step: "leave memory to be fetched later", Origin: "--lazy-pages", Err: unix.EOPNOTSUPP,
			Cause: "the kernel or CRIU has no userfaultfd with what that takes"}
	}
	return nil
}

// afterDump deletes a container that CRIU has ended.
func (rt *Runtime) afterDump(c *container, cg *cgroup.Manager) error {
	ended, err := c.process().wait(killWait)
	if err != nil {
		return fault.Wrap(err, "wait for the container's init to end", "")
	}
	if !ended {
		return &fault.Error{Step: "wait for the container's init to end", Err: unix.ETIMEDOUT,
			Remedy: "bailey delete --force " + c.rec.ID}
	}
	poststop, err := c.poststop()
	if err != nil {
		rt.warn("the poststop hooks are not run: " + err.Error())
	}
	return rt.destroy(c, cg, poststop)
}

// needsMachine refuses what is only for root of the machine.
func needsMachine(what string) error {
	if os.Geteuid() == 0 && !userns.Other() {
		return nil
	}
	return &fault.Error{Step: what, Err: unix.EPERM,
		Cause:  "CRIU needs privileges over the machine, which an ordinary user and root of a user namespace do not have",
		Remedy: "run bailey as root of the machine"}
}

// checkDumpable refuses containers with what CRIU would lose or not understand.
func checkDumpable(s *specs.Spec) error {
	refuse := func(origin, cause string) error {
		return &fault.Error{Step: "checkpoint the container", Origin: origin, Err: unix.EOPNOTSUPP, Cause: cause}
	}
	for i, ns := range s.Linux.Namespaces {
		if ns.Path != "" && (ns.Type == specs.UserNamespace || ns.Type == specs.MountNamespace) {
			return refuse("/linux/namespaces/"+strconv.Itoa(i), "CRIU cannot put processes back into a "+string(ns.Type)+" namespace that is there already")
		}
	}
	for i, m := range s.Mounts {
		mapped := len(m.UIDMappings) > 0 || slices.ContainsFunc(m.Options, func(o string) bool {
			return o == "idmap" || o == "ridmap" || strings.HasPrefix(o, "idmap=") || strings.HasPrefix(o, "ridmap=")
		})
		if mapped {
			return refuse("/mounts/"+strconv.Itoa(i), "CRIU does not know ID-mapped mounts: restored, the files would belong to others")
		}
	}
	return nil
}

// criu returns CRIU's options for what checkpoint and restore have in common.
func (opts *ImageOptions) criu(s *specs.Spec) (*criu.Options, error) {
	images, err := openImages(opts.Images, "--image-path")
	if err != nil {
		return nil, err
	}
	work := images
	if opts.Work != "" {
		// Docker names one in the bundle that nobody has made.
		if err = makeDirectory(opts.Work, "--work-path"); err == nil {
			work, err = openImages(opts.Work, "--work-path")
		}
		if err != nil {
			images.Close()
			return nil, err
		}
	}
	o := &criu.Options{
		Images: images, Work: work,
		TCPEstablished: opts.TCPEstablished, ExternalUnixSockets: opts.ExternalUnixSockets, ShellJob: opts.ShellJob,
		FileLocks: opts.FileLocks, AutoDedup: opts.AutoDedup, LazyPages: opts.LazyPages, Cgroups: opts.Cgroups,
		StatusFD: -1, OrphanTerminal: true, ConfigFile: configOfCRIU(s),
	}
	if opts.EmptyNetwork {
		o.EmptyNamespaces = unix.CLONE_NEWNET
	}
	return o, nil
}

func (opts *CheckpointOptions) criu(s *specs.Spec) (*criu.Options, error) {
	if err := makeDirectory(opts.Images, "--image-path"); err != nil {
		return nil, err
	}
	o, err := opts.ImageOptions.criu(s)
	if err != nil {
		return nil, err
	}
	o.LeaveRunning = opts.LeaveRunning
	o.TCPSkipInFlight, o.LinkRemap = opts.TCPSkipInFlight, opts.LinkRemap
	o.StatusFD, o.PageServer = opts.StatusFD, opts.PageServer
	// What has changed since the parent is to be known, and after this one as well.
	o.Parent, o.TrackMemory = opts.Parent, opts.PreDump || opts.Parent != ""
	return o, nil
}

// configOfCRIU returns the path of the configuration that CRIU is given, "" for none: what an annotation says, or
// what the administrator has for bailey or for runtimes in general.
func configOfCRIU(s *specs.Spec) string {
	if path, ok := s.Annotations["org.criu.config"]; ok {
		return path
	}
	for _, path := range []string{"/etc/criu/bailey.conf", "/etc/criu/runc.conf"} {
		if unix.Access(path, unix.R_OK) == nil {
			return path
		}
	}
	return ""
}

// checkParent refuses a parent that CRIU would take for no parent at all: it says nothing where it finds none, and
// what is restored from such images lacks memory.
func (opts *CheckpointOptions) checkParent(images *os.File) error {
	if opts.Parent == "" {
		return nil
	}
	const step = "find the images of the earlier dump"
	if filepath.IsAbs(opts.Parent) {
		return &fault.Error{Step: step, Origin: "--parent-path", Object: opts.Parent, Err: unix.EINVAL,
			Cause: "the path is to be relative to that of the images, so that both can be moved", Remedy: "give a relative path, as in ../parent"}
	}
	var st unix.Stat_t
	err := unix.Fstatat(int(images.Fd()), opts.Parent, &st, 0)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = unix.ENOTDIR
	}
	if err != nil {
		return &fault.Error{Step: step, Origin: "--parent-path", Object: opts.Parent, Syscall: "fstatat", Err: err}
	}
	return nil
}

// openImages opens a directory that the caller has named.
func openImages(path, flag string) (*os.File, error) {
	fd, err := openHost(path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, fault.Wrap(err, "open "+path, flag)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// makeDirectory makes a directory that the caller has named, for root alone: a process's memory is in it. It may be
// there already.
func makeDirectory(path, flag string) error {
	//nolint:forbidigo // the caller's own path, no container's
	if err := os.Mkdir(path, 0o700); err != nil && !os.IsExist(err) {
		return fault.Wrap(reason(err), "make the directory "+path, flag)
	}
	return nil
}

// freezer returns the cgroup that stops a container's processes, "" if it has none.
func freezer(paths map[string]string) string {
	if path, ok := paths["freezer"]; ok {
		return path
	}
	if len(paths) > 1 {
		return "" // v1 without a freezer; the unified hierarchy beside it is not one that CRIU would use
	}
	return paths[""]
}

// explainCRIU adds what CRIU's log says to an error of its own.
func explainCRIU(err error, step string, o *criu.Options) error {
	f := &fault.Error{Step: step, Err: err}
	if said := errorsInLog(o.Work, o.LogFile); len(said) > 0 {
		var failure *criu.FailedError
		if errors.As(err, &failure) {
			failure.Message = "" // the first of them, which need not be one that matters
		}
		f.Cause = "CRIU says: " + strings.Join(said, "; ")
		f.Remedy = "the whole log is " + o.Work.Name() + "/" + o.LogFile
	}
	return f
}

// maxSaid is how many of CRIU's errors are repeated.
const maxSaid = 4

// errorsInLog returns the errors in a log of CRIU's, the first ones, which led to the others.
func errorsInLog(work *os.File, name string) []string {
	fd, err := unix.Openat(int(work.Fd()), name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	log := os.NewFile(uintptr(fd), name)
	defer log.Close()
	var said []string
	lines := bufio.NewScanner(log)
	for lines.Scan() && len(said) < maxSaid {
		// "(00.047834) Error (criu/files-reg.c:1790): Can't lookup mount=24 for fd=0 path=/dev/null"
		_, text, found := strings.Cut(lines.Text(), "Error (")
		if _, text, _ = strings.Cut(text, "): "); !found || strings.HasPrefix(text, "rlimit: ") {
			continue // it goes on with the limit that it has
		}
		said = append(said, text)
	}
	return said
}
