package sandbox

import (
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/libruntime/idmap"
)

// ids decides whose IDs the sandbox has, and says so. Root's gets some that nobody has, from the ledger, when it is made:
// to no file of the machine is it more than a stranger. An ordinary user has only the own ones to give. The own ID alone
// is enough, and all that a command without capabilities can make use of; the subordinate ones are added where more
// is asked for, which takes two more programs (newuidmap, newgidmap).
func (b *builder) ids() string {
	if b.root {
		return "of its own, that no account, user or other container has"
	}
	if b.o.User != "" || len(b.o.Capabilities) > 0 {
		b.uids, b.gids = idmap.Own()
		return "yours as 0, and your subordinate ones"
	}
	one := func(id int) []specs.LinuxIDMapping { return []specs.LinuxIDMapping{{HostID: uint32(id), Size: 1}} }
	b.uids, b.gids = one(os.Geteuid()), one(os.Getegid())
	return "yours as 0, and no other"
}

// parseUser reads UID or UID:GID. The group is that of the same number where there is none.
func parseUser(text string) (ids [2]uint32, err error) {
	uid, gid, ok := strings.Cut(text, ":")
	if !ok {
		gid = uid
	}
	for i, word := range []string{uid, gid} {
		n, err := strconv.ParseUint(word, 10, 32)
		if err != nil {
			return ids, badFlag("user", text, "is not UID or UID:GID, in numbers", "")
		}
		ids[i] = uint32(n)
	}
	return ids, nil
}
