package idmap

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// span is a range of IDs: first to first+size-1.
type span struct{ first, size uint64 }

// parse returns the IDs inside the namespace that a map file describes: the first and third number of
// each line.
func parse(text string) []span {
	var spans []span
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		first, err1 := strconv.ParseUint(f[0], 10, 32)
		size, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 == nil && err2 == nil {
			spans = append(spans, span{first, size})
		}
	}
	return spans
}

// parseSubIDs returns the ranges of a user in the text of /etc/subuid or /etc/subgid, whose lines are
// "name-or-uid:first:size".
func parseSubIDs(text, name, uid string) []span {
	var spans []span
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 3 || f[0] != uid && (name == "" || f[0] != name) {
			continue
		}
		first, err1 := strconv.ParseUint(f[1], 10, 32)
		size, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 == nil && err2 == nil {
			spans = append(spans, span{first, size})
		}
	}
	return spans
}

// Own returns the mappings of the user namespace that an ordinary user's container gets where its configuration has none:
// root is the user, and what /etc/subuid and /etc/subgid grant follows.
func Own() (uids, gids []specs.LinuxIDMapping) {
	return own(users), own(groups)
}

func own(k kind) []specs.LinuxIDMapping {
	maps := []specs.LinuxIDMapping{{ContainerID: 0, HostID: uint32(k.own()), Size: 1}}
	if !k.helped() {
		return maps // nobody could write more
	}
	text, err := os.ReadFile(k.subids)
	if err != nil {
		return maps
	}
	uid := strconv.Itoa(os.Getuid())
	next := uint64(1)
	for _, s := range parseSubIDs(string(text), userName(uid), uid) {
		if s.size == 0 || next+s.size > 1<<32-1 || len(maps) == maxLines {
			break
		}
		maps = append(maps, specs.LinuxIDMapping{ContainerID: uint32(next), HostID: uint32(s.first), Size: uint32(s.size)})
		next += s.size
	}
	return maps
}

// Of returns the mappings of the process pid, as its user namespace's maps say.
func Of(pid int) (uids, gids []specs.LinuxIDMapping, err error) {
	for _, m := range []struct {
		file string
		maps *[]specs.LinuxIDMapping
	}{{users.file, &uids}, {groups.file, &gids}} {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/" + m.file)
		if err != nil {
			return nil, nil, err
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			var n [3]uint64
			for i := range n {
				if len(f) != len(n) {
					return nil, nil, unix.EINVAL
				}
				if n[i], err = strconv.ParseUint(f[i], 10, 32); err != nil {
					return nil, nil, err
				}
			}
			*m.maps = append(*m.maps, specs.LinuxIDMapping{ContainerID: uint32(n[0]), HostID: uint32(n[1]), Size: uint32(n[2])})
		}
	}
	return uids, gids, nil
}

// covered reports whether every ID of first to first+size-1 is in one of the spans, which may adjoin
// or overlap.
func covered(spans []span, first, size uint64) bool {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b span) int {
		switch {
		case a.first < b.first:
			return -1
		case a.first > b.first:
			return 1
		}
		return 0
	})
	next, end := first, first+size
	for _, s := range spans {
		if s.first <= next && next < s.first+s.size {
			next = s.first + s.size
		}
		if next >= end {
			return true
		}
	}
	return size == 0
}
