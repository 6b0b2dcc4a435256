package ledger

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
)

// DefaultGrant is how many IDs Setup gives an account where nobody says: 1024 containers of the usual size.
const DefaultGrant = 1024 * DefaultSize

// Setup gives the ledger's account lines in /etc/subuid and /etc/subgid, with IDs that nobody has, and makes the account
// itself if it is the default one and missing. size is how many IDs it is to have as users and as groups, 0 for
// DefaultGrant or as many as there are, if it has none yet. say is told what is done. An account that has what is
// asked for is left as it is.
//
// It uses the machine's useradd and usermod, which know whatever else keeps accounts there; where usermod is not
// installed it writes the two files, under the locks that shadow takes.
func (l *Ledger) Setup(size uint64, say func(string)) error {
	f := &fault.Error{Step: "give account " + l.o.Account + " subordinate IDs"}
	if os.Geteuid() != 0 {
		f.Err = unix.EPERM
		f.Cause = "only root may change /etc/subuid and /etc/subgid"
		f.Remedy = "as root: bailey ids setup --account " + l.o.Account
		return f
	}
	if size >= 1<<32 {
		f.Err = errors.New("there are no more than 4294967294 IDs")
		return f
	}
	if err := l.makeAccount(say); err != nil {
		return err
	}
	a, err := l.accounts()
	if err != nil {
		return err
	}
	have := uint64(0)
	for _, b := range a.blocks {
		have += b.size
	}
	if have > 0 && have >= size {
		say(fmt.Sprintf("account %s has %d IDs already (users %s, groups %s): nothing to do", l.o.Account, have, spans(a.users.usable), spans(a.groups.usable)))
		return nil
	}
	live, err := l.live()
	if err != nil {
		return err
	}
	want := roundUp(max(size, 1)-have, unit)
	if size == 0 {
		want = DefaultGrant
	}
	first, got, ok := l.block(a, live, want, size == 0)
	if !ok {
		f.Err = fmt.Errorf("there are no %d IDs in a row that belong to nobody", want)
		f.Remedy = "ask for fewer (--size), or remove lines that nobody needs from " + l.o.Paths.SubUID
		return f
	}
	ids := span{first, first + got}
	if err := l.grant(ids, say); err != nil {
		return err
	}
	// Nobody's lock was held while the place was chosen: usermod takes it itself.
	if a, err = l.accounts(); err != nil {
		return err
	}
	if !ids.in(a.users.usable) || !ids.in(a.groups.usable) {
		f.Err = fmt.Errorf("the IDs %v, which nobody had, were given to somebody else at the same time", ids)
		f.Remedy = "remove the line of one of the two; bailey ids check says which"
		return f
	}
	return nil
}

// makeAccount makes the default account if it is missing. It needs no entry for what the ledger does, but without
// one its name is anybody's.
func (l *Ledger) makeAccount(say func(string)) error {
	text, err := os.ReadFile(l.o.Paths.Passwd)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fault.Wrap(err, "read the machine's accounts in "+l.o.Paths.Passwd, "")
	}
	for id, name := range named(string(text)) {
		if name == l.o.Account || strconv.FormatUint(id, 10) == l.o.Account {
			return nil
		}
	}
	if l.o.Account != DefaultAccount {
		return &fault.Error{Step: "find account " + l.o.Account + " in " + l.o.Paths.Passwd, Err: errors.New("there is none"),
			Remedy: "make it first (useradd), or leave --account out"}
	}
	useradd := l.tool("useradd")
	if useradd == "" {
		say("useradd is not installed: account " + l.o.Account + " is not made, its ranges work without")
		return nil
	}
	// Without a home directory, password and shell: nobody is to log in.
	err = run(say, useradd, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin",
		"--comment", "ID ranges of containers", l.o.Account)
	if err == nil {
		say("made the system account " + l.o.Account)
	}
	return err
}

// grant adds a line to both files.
func (l *Ledger) grant(ids span, say func(string)) error {
	usermod := l.tool("usermod")
	if usermod != "" {
		r := fmt.Sprintf("%d-%d", ids.first, ids.end-1)
		if err := run(say, usermod, "--add-subuids", r, "--add-subgids", r, l.o.Account); err != nil {
			return err
		}
	} else {
		line := fmt.Sprintf("%s:%d:%d\n", l.o.Account, ids.first, ids.size())
		for _, file := range []string{l.o.Paths.SubUID, l.o.Paths.SubGID} {
			if err := appendLine(file, line); err != nil {
				return err
			}
		}
	}
	say(fmt.Sprintf("account %s has got the IDs %v (%d containers of %d) in %s and %s", l.o.Account, ids, ids.size()/DefaultSize, DefaultSize,
		l.o.Paths.SubUID, l.o.Paths.SubGID))
	return nil
}

// tool returns the path of one of shadow's programs, "" if it is not there or works on other files than the ledger's.
func (l *Ledger) tool(name string) string {
	var usual Paths
	usual.complete()
	if l.o.Paths.SubUID != usual.SubUID || l.o.Paths.SubGID != usual.SubGID || l.o.Paths.Passwd != usual.Passwd {
		return ""
	}
	for _, dir := range []string{"/usr/sbin/", "/sbin/", "/usr/bin/"} {
		if unix.Access(dir+name, unix.X_OK) == nil {
			return dir + name
		}
	}
	return ""
}

func run(say func(string), path string, args ...string) error {
	say("running " + path + " " + strings.Join(args, " "))
	cmd := exec.Command(path, args...)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if text := strings.TrimSpace(string(out)); text != "" {
		err = fmt.Errorf("%w: %s", err, strings.ReplaceAll(text, "\n", "; "))
	}
	return &fault.Error{Step: "run " + path, Err: err}
}
