package libruntime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/idmap"
	"github.com/bailey-oci/bailey/libruntime/policy"
	"github.com/bailey-oci/bailey/spec"
)

// bundle is a bundle that was read and found valid.
type bundle struct {
	// path is absolute.
	path string
	// data is the config.json that spec was read from.
	data []byte
	spec *specs.Spec
	// ownIDs: spec has no user namespace in data, and got one for an ordinary user.
	ownIDs bool
	// decision is what policies, annotations and flags say of the container; nil: nothing.
	decision *policy.Decision
	// idsWanted is how many IDs of its own the container is to have from the ledger; 0: none.
	idsWanted uint32
}

// bundle returns the bundle that the options name, or stands for the configuration in them.
func (rt *Runtime) bundle(opts *CreateOptions) (*bundle, error) {
	if opts.Spec == nil {
		return loadBundle(opts.Bundle, opts.Config)
	}
	root, err := rt.Root.Absolute()
	if err != nil {
		return nil, err
	}
	b := &bundle{path: root + "/" + opts.ID}
	// What goes on record is what is done, and not merely meant to be the same.
	if b.data, err = json.Marshal(opts.Spec); err != nil {
		return nil, fault.Wrap(err, "put the configuration on record", "")
	}
	if err := b.parse(); err != nil {
		return nil, err
	}
	if opts.EmptyRoot {
		return b, nil
	}
	return b, b.checkRoot()
}

// loadBundle reads the bundle in dir, or in the working directory where dir is empty. config names
// another file than the bundle's config.json; a relative one counts from the working directory.
func loadBundle(dir, config string) (*bundle, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, fault.Wrap(err, "find the bundle "+dir, "--bundle")
	}
	if config == "" {
		config = path + "/config.json"
	}
	b := &bundle{path: path}
	if b.data, err = readConfig(config); err != nil {
		return nil, err
	}
	if err := b.parse(); err != nil {
		return nil, err
	}
	return b, b.checkRoot()
}

// parse reads the configuration in b.data.
func (b *bundle) parse() (err error) {
	if b.spec, err = spec.Parse(b.data); err != nil {
		return err
	}
	if err := spec.Validate(b.spec); err != nil {
		return explainConfig(err, b.spec)
	}
	if os.Geteuid() != 0 && !hasNamespace(b.spec, specs.UserNamespace) {
		// They can make no other namespaces outside of one.
		b.ownIDs = true
		addUserNamespace(b.spec)
		b.spec.Linux.UIDMappings, b.spec.Linux.GIDMappings = idmap.Own()
	}
	return nil
}

func addUserNamespace(s *specs.Spec) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
}

// rootfs returns the path of the root filesystem.
func (b *bundle) rootfs() string {
	if p := b.spec.Root.Path; filepath.IsAbs(p) {
		return p
	}
	return b.path + "/" + b.spec.Root.Path
}

// checkRoot refuses a root that is no directory, which would otherwise show in the middle of a start.
func (b *bundle) checkRoot() error {
	var st unix.Stat_t
	err := unix.Stat(b.rootfs(), &st)
	if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = unix.ENOTDIR
	}
	if err != nil {
		f := &fault.Error{Step: "open the root filesystem " + b.rootfs(), Origin: "/root/path", Err: err}
		explainPath(f, b.rootfs())
		return f
	}
	return nil
}

// readConfig reads the file once, so that what is parsed is also what goes on record.
func readConfig(path string) ([]byte, error) {
	failed := func(err error) error {
		if errors.Is(err, unix.ENOENT) {
			return &fault.Error{Step: "read " + path, Origin: "--bundle", Err: unix.ENOENT,
				Cause:  "the directory is not a bundle: it has no config.json",
				Remedy: "name the bundle with --bundle, or write a configuration with: bailey spec"}
		}
		return fault.Wrap(err, "read "+path, "--bundle")
	}
	fd, err := openHost(path, unix.O_RDONLY)
	if err != nil {
		return nil, failed(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, failed(err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, failed(errors.New("it is not a regular file"))
	}
	// One byte more than there should be shows a file that grows.
	data := make([]byte, 0, min(st.Size, spec.MaxSize)+1)
	for {
		n, err := unix.Read(fd, data[len(data):cap(data)])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, failed(err)
		case n == 0:
			return data, nil
		}
		data = data[:len(data)+n]
		if len(data) > spec.MaxSize {
			return nil, failed(fmt.Errorf("it has more than %d bytes", spec.MaxSize))
		}
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
	}
}

// reason returns the errno that a function of package os has wrapped, without the path, which the
// error's step names.
func reason(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// spec returns the configuration that the container was made from.
func (c *container) spec() (*specs.Spec, error) {
	data, err := c.ReadConfig()
	if err != nil {
		return nil, err
	}
	s, err := spec.Parse(data)
	if err != nil {
		return nil, err
	}
	// The copy is as good as its validation at create, unless somebody has changed it since.
	if err := spec.Validate(s); err != nil {
		return nil, err
	}
	if c.rec.IDs.Size != 0 {
		giveIDs(s, c.rec.IDs)
	}
	if c.rec.OwnIDs {
		addUserNamespace(s)
		// Of a container that has ended nobody needs them.
		if uids, gids, err := idmap.Of(c.rec.PID); err == nil {
			s.Linux.UIDMappings, s.Linux.GIDMappings = uids, gids
		}
	}
	return s, nil
}

// hasNamespace reports whether the container has a namespace of a kind, new or joined.
func hasNamespace(s *specs.Spec, kind specs.LinuxNamespaceType) bool {
	for _, ns := range s.Linux.Namespaces {
		if ns.Type == kind {
			return true
		}
	}
	return false
}
