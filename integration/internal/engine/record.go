package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// calls is a record of how an engine calls bailey, and of what that warns of.
type calls struct{ program, dir string }

// The record keeps what is written to the log that the engine names: it may be gone soon after.
const recorder = `#!/bin/bash
# What a runtime is called with, and what it tells in its log, in DIR; otherwise it is as if it were not there.
log= before=
for a; do
	case $before in --log | -log) log=$a ;; esac
	case $a in --log=* | -log=*) log=${a#*=} ;; esac
	before=$a
done
size=0
[ -z "$log" ] || ! [ -e "$log" ] || size=$(stat -c %s "$log")
echo "${*@Q}" >>DIR/calls
PROGRAM "$@"
status=$?
[ -z "$log" ] || ! [ -e "$log" ] || tail -c +$((size + 1)) "$log" >>DIR/log
exit $status
`

// record returns the record of a runtime; its program is to be given to the engine.
func record(t *testing.T, program string) *calls {
	t.Helper()
	dir := t.TempDir()
	Must(t, os.Chmod(filepath.Dir(dir), 0o755)) // for engines of ordinary users
	Must(t, os.Chmod(dir, 0o755))
	c := &calls{dir + "/bailey", dir}
	for _, name := range []string{"calls", "log"} {
		Must(t, os.WriteFile(dir+"/"+name, nil, 0o666))
		Must(t, os.Chmod(dir+"/"+name, 0o666))
	}
	text := strings.NewReplacer("DIR", dir, "PROGRAM", program).Replace(recorder)
	Must(t, os.WriteFile(c.program, []byte(text), 0o755))
	return c
}

// check fails the test if there was a warning, and keeps the shapes of the calls with the counts.
func (c *calls) check(t *testing.T, engine string) {
	t.Helper()
	log, err := os.ReadFile(c.dir + "/log")
	Must(t, err)
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, `"level":"warning"`) || strings.Contains(line, "level=warning") || strings.Contains(line, "flag provided but not defined") {
			t.Errorf("bailey warns: %s", line)
		}
	}
	text, err := os.ReadFile(c.dir + "/calls")
	Must(t, err)
	if len(text) == 0 {
		t.Error("bailey was never called")
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	slices.Sort(lines)
	name := Built(t) + "/calls-" + strings.ReplaceAll(engine, " ", "-") + "-" + View()
	Must(t, os.WriteFile(name, []byte(strings.Join(slices.Compact(lines), "\n")+"\n"), 0o644))
}
