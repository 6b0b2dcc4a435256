package sandbox

import (
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// entry is what is at a place of the sandbox.
type entry struct {
	mount specs.Mount
	// host: it shows files of the machine, which are at the same place there.
	host bool
	// link: it is a symbolic link, as on the machine.
	link bool
	// foreign: none of their owners has an ID in the sandbox.
	foreign bool
}

// view is what the command sees, by place. The later of two decisions about a place holds.
type view map[string]entry

// binding are the options of everything that is shown of the machine. It is cut off from what is mounted there later,
// which would come without them.
func binding(more ...string) []string {
	return append([]string{"rbind", "rprivate", "rnosuid", "rnodev"}, more...)
}

// show has a directory of the machine shown; options are added to those that all have.
func (v view) show(dir string, foreign bool, options ...string) {
	v[dir] = entry{mount: specs.Mount{Destination: dir, Type: "bind", Source: dir, Options: binding(options...)}, host: true, foreign: foreign}
}

// link copies a symbolic link of the machine's.
func (v view) link(name string) {
	v[name] = entry{mount: specs.Mount{Destination: name, Type: "bind", Source: name, Options: []string{"bind", "copy-symlink"}}, link: true}
}

// fresh puts a new filesystem there.
func (v view) fresh(dir, kind string, options ...string) {
	v[dir] = entry{mount: specs.Mount{Destination: dir, Type: kind, Source: kind, Options: options}}
}

// empty puts an empty directory there, that can be written to.
func (v view) empty(dir string, options ...string) {
	v.fresh(dir, "tmpfs", append([]string{"nosuid", "nodev"}, options...)...)
}

// mounts returns all of it in the order in which it is mounted: what lies in something comes after it.
func (v view) mounts() []entry {
	list := make([]entry, 0, len(v))
	for _, e := range v {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b entry) int {
		// The separator sorts before every other byte of a name.
		key := func(e entry) string { return strings.ReplaceAll(e.mount.Destination, "/", "\x00") }
		return strings.Compare(key(a), key(b))
	})
	return list
}

// at returns what a path lies in; false where that is the empty root.
func (v view) at(p string) (entry, bool) {
	for dir := path.Clean(p); ; dir = path.Dir(dir) {
		if e, ok := v[dir]; ok {
			return e, true
		}
		if dir == "/" || dir == "." {
			return entry{}, false
		}
	}
}

// shown reports whether a path of the machine is to be seen.
func (v view) shown(p string) bool {
	e, ok := v.at(p)
	return ok && e.host
}

// within reports whether p is dir or lies below it.
func within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}
