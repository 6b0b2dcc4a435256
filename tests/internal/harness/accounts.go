package harness

import (
	"os"

	"golang.org/x/sys/unix"
)

// OwnAccounts gives the Env an /etc and a /var/lib of its own, as a machine has them on which bailey was not used yet: nobody
// has subordinate IDs, and there is no policy. The machine's stay as they are.
func (e *Env) OwnAccounts() {
	e.T.Helper()
	Tool(e.T, "", "cp", "-a", "/etc", e.Path("etc"))
	e.Must(os.RemoveAll(e.Path("etc/bailey")))
	for _, name := range []string{"subuid", "subgid"} {
		e.WriteFile("etc/"+name, "", 0o644)
	}
	e.Must(os.Mkdir(e.Path("lib"), 0o755))
	e.Do(func() {
		for from, to := range map[string]string{"etc": "/etc", "lib": "/var/lib"} {
			if err := unix.Mount(e.Path(from), to, "", unix.MS_BIND, ""); err != nil {
				e.T.Errorf("%s: %v", to, err)
			}
		}
	})
	e.Mounted()
}

// GiveIDs gives an account subordinate IDs.
func (e *Env) GiveIDs(line string) {
	e.T.Helper()
	for _, name := range []string{"subuid", "subgid"} {
		f, err := os.OpenFile(e.Path("etc/"+name), os.O_APPEND|os.O_WRONLY, 0)
		e.Must(err)
		_, err = f.WriteString(line + "\n")
		e.Must(err)
		e.Must(f.Close())
	}
}
