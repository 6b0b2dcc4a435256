package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// AccountSize is how many subordinate IDs the account of an Env may have without being in the way of those of other Envs,
// whose containers are on the same machine.
const AccountSize = 1 << 22

// accounts is how many such accounts there are, from accountsFirst on. They end before the IDs that bailey chooses by itself.
const accounts, accountsFirst = 128, 1 << 30

// NewWithAccount is New, on a machine with an account of size subordinate IDs (see Account), no container of which
// is known yet, and no policy.
func NewWithAccount(t testing.TB, v View, size uint32) *Env {
	t.Helper()
	e := New(t, v)
	e.privateMachine()
	e.WithAccount("bailey", size)
	return e
}

// privateMachine covers what the machine has on record about IDs and policies: /etc becomes a copy of itself, and
// /var/lib empty.
func (e *Env) privateMachine() {
	e.T.Helper()
	at := e.Path("machine")
	e.Must(os.Mkdir(at, 0o755))
	var err error
	e.Do(func() {
		err = unix.Mount("tmpfs", at, "tmpfs", 0, "mode=755")
		for _, dir := range []string{"upper", "work"} {
			if err == nil {
				err = os.Mkdir(at+"/"+dir, 0o755)
			}
		}
		if err == nil {
			err = unix.Mount("overlay", "/etc", "overlay", 0, "lowerdir=/etc,upperdir="+at+"/upper,workdir="+at+"/work")
		}
		if err == nil {
			err = unix.Mount("tmpfs", "/var/lib", "tmpfs", 0, "mode=755")
		}
	})
	e.Must(err)
	e.Mounted()
}

// Account returns the first of the subordinate IDs that are the Env's. No other Env of the machine's has them, be it of
// another process: containers with the same IDs would see each other in the machine's processes.
func (e *Env) Account() uint32 {
	e.T.Helper()
	if e.account == nil {
		dir := filepath.Join(os.TempDir(), "bailey-test-accounts")
		e.Must(os.MkdirAll(dir, 0o755))
		e.Eventually("an account is free", func() bool {
			for n := range uint32(accounts) {
				f, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(n)), os.O_RDWR|os.O_CREATE, 0o600)
				e.Must(err)
				if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
					e.account, e.accountNumber = f, n
					return true
				}
				f.Close()
			}
			return false
		})
	}
	return accountsFirst + e.accountNumber*AccountSize
}

// WithAccount gives an account, and nobody else, size subordinate user IDs from Account on, and as many group IDs.
func (e *Env) WithAccount(name string, size uint32) {
	e.T.Helper()
	line := ""
	if size > 0 {
		line = fmt.Sprintf("%s:%d:%d\n", name, e.Account(), size)
	}
	e.WriteMachine("/etc/subuid", line)
	e.WriteMachine("/etc/subgid", line)
}

// WithPolicy writes the machine's policy.
func (e *Env) WithPolicy(text string) {
	e.T.Helper()
	e.Do(func() { _ = os.Mkdir("/etc/bailey", 0o755) })
	e.WriteMachine("/etc/bailey/policy.toml", text)
}

// WriteMachine writes a file of the machine's as the Env sees it.
func (e *Env) WriteMachine(path, text string) {
	e.T.Helper()
	var err error
	e.Do(func() { err = os.WriteFile(path, []byte(text), 0o644) })
	e.Must(err)
}
