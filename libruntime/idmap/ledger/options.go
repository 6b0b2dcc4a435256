package ledger

import (
	"errors"
	"hash/fnv"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/userns"
)

const (
	// DefaultAccount is the account whose ranges root hands out.
	DefaultAccount = "bailey"
	// DefaultSize is how many IDs a container gets where nobody says: 16 bits, which images count on.
	DefaultSize = 65536
	// DefaultRest is how long a range that was given back is left alone.
	DefaultRest = 10 * time.Minute
)

// Options say whose ledger it is and how it is kept. The zero value is the caller's own.
type Options struct {
	// Account is the name or user ID at the beginning of the lines in SubUID and SubGID; "": DefaultAccount as root,
	// otherwise the user.
	Account string
	// Dir is the directory of the ledger; "": /var/lib/bailey/ids as root, otherwise bailey/ids/MACHINE below
	// $XDG_DATA_HOME.
	Dir string
	// Rest is how long a range rests; 0: DefaultRest.
	Rest time.Duration
	// Strict refuses to give out a range that has not rested, even where there is no other.
	Strict bool
	// Spare hands out IDs that nobody on the machine has, where the account has none.
	Spare bool
	// Paths are where the machine's files are.
	Paths Paths
}

// Paths are files of the machine. "" stands for the usual place.
type Paths struct {
	SubUID, SubGID, Passwd, Group string
	// Proc is where procfs is mounted.
	Proc string
	// BootID is a file whose content is another one after every boot.
	BootID string
	// MachineID is a file whose content tells machines apart that share a home directory.
	MachineID string
}

func (p *Paths) complete() {
	for _, f := range []struct {
		path  *string
		usual string
	}{
		{&p.SubUID, "/etc/subuid"}, {&p.SubGID, "/etc/subgid"}, {&p.Passwd, "/etc/passwd"}, {&p.Group, "/etc/group"},
		{&p.Proc, "/proc"}, {&p.BootID, "/proc/sys/kernel/random/boot_id"}, {&p.MachineID, "/etc/machine-id"},
	} {
		if *f.path == "" {
			*f.path = f.usual
		}
	}
}

// complete fills in what was left open.
func (o *Options) complete() error {
	o.Paths.complete()
	if o.Rest == 0 {
		o.Rest = DefaultRest
	}
	ordinary := ordinaryUser()
	if o.Account == "" {
		o.Account = DefaultAccount
		if ordinary {
			o.Account = strconv.Itoa(os.Getuid())
		}
	}
	if o.Dir != "" {
		return nil
	}
	o.Dir = "/var/lib/bailey/ids"
	if ordinary {
		data := os.Getenv("XDG_DATA_HOME")
		if data == "" {
			home := os.Getenv("HOME")
			if home == "" {
				return &fault.Error{Step: "find the directory of the ID ledger", Err: errors.New("neither XDG_DATA_HOME nor HOME is set"),
					Remedy: "set HOME"}
			}
			data = home + "/.local/share"
		}
		o.Dir = data + "/bailey/ids/" + machine(o.Paths.MachineID)
	}
	if userns.Other() {
		// What is ID 5000 here is another one outside: a ledger for each numbering.
		o.Dir += "/in-" + numbering(o.Paths.Proc)
	}
	return nil
}

// ordinaryUser reports whether bailey works for an ordinary user: one, or root of a namespace that an engine of the
// user's has made ($USER tells that one from the root of a container, as for the state directory).
func ordinaryUser() bool {
	return os.Geteuid() != 0 || userns.Other() && os.Getenv("USER") != "root" && os.Getenv("XDG_RUNTIME_DIR") != ""
}

// machine returns a name for this machine: home directories may be on a network, and each of the machines that
// have them has IDs of its own.
func machine(file string) string {
	b, err := os.ReadFile(file)
	id := strings.TrimSpace(string(b))
	if err != nil || id == "" || len(id) > 64 || strings.ContainsAny(id, "/.\x00\n") {
		return "machine"
	}
	return id
}

// numbering returns a name for what the IDs of this user namespace mean.
func numbering(proc string) string {
	uids, _ := os.ReadFile(proc + "/self/uid_map")
	gids, _ := os.ReadFile(proc + "/self/gid_map")
	h := fnv.New64a()
	_, _ = h.Write(append(uids, gids...))
	return strconv.FormatUint(h.Sum64(), 16)
}
