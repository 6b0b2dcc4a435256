package ledger

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/userns"
)

// grant is a line of /etc/subuid or /etc/subgid.
type grant struct {
	account string // a name or a user ID
	ids     span
}

// grants parses the text of such a file. Lines that shadow does not understand either grant nothing; they come back as
// malformed.
func grants(text string) (list []grant, malformed []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		account, rest, _ := strings.Cut(line, ":")
		a, b, _ := strings.Cut(rest, ":")
		first, err1 := strconv.ParseUint(a, 10, 32)
		size, err2 := strconv.ParseUint(b, 10, 32)
		// The last of the 32-bit numbers is no ID.
		if account == "" || err1 != nil || err2 != nil || first+size > 1<<32-1 {
			malformed = append(malformed, line)
			continue
		}
		if size > 0 {
			list = append(list, grant{account, span{first, first + size}})
		}
	}
	return list, malformed
}

// named returns the IDs that a passwd or group file gives a name, which are in the third field of both.
func named(text string) map[uint64]string {
	m := make(map[uint64]string, 64)
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		_, rest, _ = strings.Cut(rest, ":")
		number, _, _ := strings.Cut(strings.TrimSuffix(rest, "\n"), ":")
		if id, err := strconv.ParseUint(number, 10, 32); err == nil && m[id] == "" {
			m[id] = name
		}
	}
	return m
}

// side is what the machine's files say of user IDs, or of group IDs.
type side struct {
	file, names string // the paths
	grants      []grant
	malformed   []string
	named       map[uint64]string
	// own are the account's IDs, usable those of them that are nobody else's and exist here. Both are merged.
	own, usable []span
	// others are the IDs that are somebody else's.
	others []span
	// exist are the IDs of this user namespace, nil in the initial one, which has all.
	exist []span
}

// accounts is what the machine's files say.
type accounts struct {
	users, groups side
	blocks        []block
	// spare: the account has no IDs, and what is handed out is nobody's.
	spare bool
}

// accounts reads the files.
func (l *Ledger) accounts() (*accounts, error) {
	a := &accounts{
		users:  side{file: l.o.Paths.SubUID, names: l.o.Paths.Passwd},
		groups: side{file: l.o.Paths.SubGID, names: l.o.Paths.Group},
	}
	aliases, err := a.users.read(nil, l.o.Account)
	if err != nil {
		return nil, err
	}
	if _, err := a.groups.read(aliases, l.o.Account); err != nil {
		return nil, err
	}
	if userns.Other() {
		for _, s := range []struct {
			*side
			file string
		}{{&a.users, "uid_map"}, {&a.groups, "gid_map"}} {
			text, err := os.ReadFile(l.o.Paths.Proc + "/self/" + s.file)
			if err != nil {
				return nil, fault.Wrap(err, "read which IDs exist in this user namespace", "")
			}
			s.exist = merged(existing(string(text)))
		}
	}
	a.pair()
	if len(a.blocks) == 0 && l.o.Spare {
		a.spare = true
		a.users.own, a.groups.own = preferred[:1], preferred[:1]
		a.pair()
	}
	return a, nil
}

// pair finds out what of the account's IDs can be handed out.
func (a *accounts) pair() {
	a.users.choose()
	a.groups.choose()
	a.blocks = pair(a.users.usable, a.groups.usable)
}

// choose takes what is somebody else's, or does not exist here, from the account's IDs.
func (s *side) choose() {
	// Far fewer of them concern the account than there are.
	var relevant []span
	for _, o := range s.others {
		if o.hits(s.own) {
			relevant = append(relevant, o)
		}
	}
	s.usable = without(s.own, merged(relevant))
	if s.exist != nil {
		s.usable = both(s.usable, s.exist)
	}
}

// read reads the two files of a side. aliases are what else than its name the account may be called; for users, whose
// files say it, nil.
func (s *side) read(aliases []string, account string) ([]string, error) {
	text, err := os.ReadFile(s.names)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, fault.Wrap(err, "read the names of IDs in "+s.names, "")
	}
	s.named = named(string(text))
	if aliases == nil {
		aliases = []string{account}
		for id, name := range s.named {
			switch number := strconv.FormatUint(id, 10); account {
			case name:
				aliases = append(aliases, number)
			case number:
				aliases = append(aliases, name)
			}
		}
	}
	text, err = os.ReadFile(s.file)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, fault.Wrap(err, "read the subordinate IDs in "+s.file, "")
	}
	s.grants, s.malformed = grants(string(text))
	for _, g := range s.grants {
		if isOneOf(g.account, aliases) {
			s.own = append(s.own, g.ids)
		} else {
			s.others = append(s.others, g.ids)
		}
	}
	for id := range s.named {
		s.others = append(s.others, span{id, id + 1})
	}
	s.own = merged(s.own)
	return aliases, nil
}

func isOneOf(s string, list []string) bool {
	for _, t := range list {
		if s == t {
			return true
		}
	}
	return false
}

// existing returns the IDs inside the namespace that a map describes.
func existing(text string) []span {
	var out []span
	for line := range strings.Lines(text) {
		if inside, _, size, ok := mapping(line); ok {
			out = append(out, span{inside, inside + size})
		}
	}
	return out
}

// mapping returns the three numbers of a line of an ID map.
func mapping(line string) (inside, outside, size uint64, ok bool) {
	var n [3]uint64
	for i := range n {
		line = strings.TrimLeft(line, " ")
		end := strings.IndexAny(line, " \n")
		if end < 0 {
			end = len(line)
		}
		var err error
		if n[i], err = strconv.ParseUint(line[:end], 10, 32); err != nil {
			return 0, 0, 0, false
		}
		line = line[end:]
	}
	return n[0], n[1], n[2], true
}
