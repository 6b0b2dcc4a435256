package policy

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/userns"
)

// System is the policy of the machine.
const System = "/etc/bailey/policy.toml"

// Paths are where policies are looked for; "" is nowhere.
type Paths struct {
	// System is the file that holds for everybody. It must be root's.
	System string
	// User is the calling user's own, which may be the user's or root's.
	User string
}

// DefaultPaths returns those for this process. Only an ordinary user has a file of one's own, and so has root of
// a user namespace that an ordinary user has made.
func DefaultPaths() Paths {
	p := Paths{System: System}
	if os.Geteuid() == 0 && !userns.Other() {
		return p
	}
	// The XDG base directory specification: a path that is not absolute is to be ignored.
	if dir := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(dir) {
		p.User = dir + "/bailey/policy.toml"
	} else if home := os.Getenv("HOME"); filepath.IsAbs(home) {
		p.User = home + "/.config/bailey/policy.toml"
	}
	return p
}

// Policy is what the files say, and is not changed by decisions. A nil *Policy says nothing.
type Policy struct {
	system, user *file
}

// Load reads the policies. It returns nil where there is no file. An error, a *fault.Error that
// may wrap ParseErrors, must keep the container from starting.
func Load(paths Paths) (*Policy, error) {
	var p Policy
	found, err := exists(paths.System)
	if err == nil && found {
		p.system, err = load(paths.System, trusted())
	}
	if err != nil {
		return nil, err
	}
	found, err = exists(paths.User)
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOTDIR):
		// A path that the user cannot follow is not the user's: HOME is /dev/null, or root's, for some services.
		err = nil
	case found:
		p.user, err = load(paths.User, trusted(uint32(os.Geteuid())))
	}
	if err != nil {
		return nil, err
	}
	if p.system == nil && p.user == nil {
		return nil, nil
	}
	return &p, nil
}

// load reads a file that only certain users may be able to change.
func load(path string, by owners) (*file, error) {
	data, err := by.read(path)
	if err != nil {
		return nil, err
	}
	f, err := parse(path, data)
	if err != nil {
		return nil, &fault.Error{Step: "read the policy", Err: err,
			Cause:  "no container starts under a policy that is not understood, as it might be one that the policy forbids",
			Remedy: "bailey policy check " + path}
	}
	return f, nil
}

// Parse reads the text of a policy as that of the machine, whoever has written it; name is the file's for errors and
// origins. The error is ParseErrors.
func Parse(name string, data []byte) (*Policy, error) {
	f, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	return &Policy{system: f}, nil
}

// Decide returns what holds for a container. The steps, each on top of those before:
//
//  1. the machine's file: [defaults], then every rule that matches, in the file's order; each sets what it names, so
//     that for every setting the last one wins;
//  2. the user's own file, by itself the same way; of its result counts what the machine's file does not set, and
//     what has more isolation;
//  3. the annotations of config.json, as far as the setting "annotations" lets them;
//  4. what the caller asks for on the command line.
//
// The last two cannot take away what a policy enforces: see floor. An error is a *fault.Error whose Origin is the
// annotation or the flag that asks for what it cannot have or is wrong.
func (p *Policy) Decide(f Facts, a Asked) (Decision, error) {
	var d Decision
	if p != nil {
		d = p.said(f)
	}
	fl := floor{userns: d.Userns, seal: d.Seal, size: d.UsernsSize}
	if err := d.askAnnotations(f.Annotations, fl); err != nil {
		return Decision{}, err
	}
	if err := d.askFlags(a, fl); err != nil {
		return Decision{}, err
	}
	return d, nil
}

// said returns what the files alone say.
func (p *Policy) said(f Facts) Decision {
	var d, own Decision
	k := &known{Facts: f}
	p.system.decide(k, &d)
	p.user.decide(k, &own)
	d.tighten(&own)
	return d
}

// decide adds to d what the file says; a nil file says nothing.
func (f *file) decide(k *known, d *Decision) {
	if f == nil {
		return
	}
	d.override(&f.defaults)
	for i := range f.rules {
		if r := &f.rules[i]; r.match.matches(k) {
			d.override(&r.settings)
		}
	}
}
