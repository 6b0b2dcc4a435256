package plan

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMountOptionsAreSorted(t *testing.T) {
	for i := 1; i < len(mountOptions); i++ {
		if mountOptions[i-1].name >= mountOptions[i].name {
			t.Errorf("%q must come after %q: the table is searched by halves", mountOptions[i-1].name, mountOptions[i].name)
		}
	}
}

// TestMountOptionsOfTheSpecification lists the table of config.md, "Linux mount options".
func TestMountOptionsOfTheSpecification(t *testing.T) {
	const table = `async atime bind defaults dev diratime dirsync exec iversion lazytime loud noatime nodev nodiratime
		noexec noiversion nolazytime norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime
		relatime remount rexec rnoatime rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro
		rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave
		strictatime suid symfollow sync tmpcopyup unbindable mand nomand rnodev`
	names := MountOptions()
	for _, name := range strings.Fields(table) {
		if !slices.Contains(names, name) {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestParseMountOptions(t *testing.T) {
	const (
		ro     = unix.MOUNT_ATTR_RDONLY
		nosuid = unix.MOUNT_ATTR_NOSUID
		atime  = unix.MOUNT_ATTR__ATIME
	)
	for _, test := range []struct {
		options string // separated by blanks
		want    parsedOptions
	}{
		{"", parsedOptions{}},
		{"ro nosuid", parsedOptions{mount: attributes{set: ro | nosuid}}},
		{"rw suid", parsedOptions{mount: attributes{clear: ro | nosuid}}},
		{"ro rw", parsedOptions{mount: attributes{clear: ro}}},
		{"rw ro", parsedOptions{mount: attributes{set: ro}}},
		{"ro,rw,nosuid", parsedOptions{mount: attributes{set: nosuid, clear: ro}}},
		{"noatime", parsedOptions{mount: attributes{set: unix.MOUNT_ATTR_NOATIME, clear: atime}}},
		{"noatime strictatime", parsedOptions{mount: attributes{set: unix.MOUNT_ATTR_STRICTATIME, clear: atime}}},
		{"strictatime relatime", parsedOptions{mount: attributes{clear: atime}}},
		{"noatime atime", parsedOptions{mount: attributes{clear: atime}}},
		{"strictatime nostrictatime", parsedOptions{mount: attributes{clear: atime}}},
		{"norelatime", parsedOptions{mount: attributes{clear: atime}}},
		{"nodiratime noatime", parsedOptions{mount: attributes{set: unix.MOUNT_ATTR_NODIRATIME | unix.MOUNT_ATTR_NOATIME, clear: atime}}},
		{"diratime", parsedOptions{mount: attributes{clear: unix.MOUNT_ATTR_NODIRATIME}}},
		{"nosymfollow", parsedOptions{mount: attributes{set: unix.MOUNT_ATTR_NOSYMFOLLOW}}},
		{"symfollow", parsedOptions{mount: attributes{clear: unix.MOUNT_ATTR_NOSYMFOLLOW}}},
		{"rro rsuid", parsedOptions{tree: attributes{set: ro, clear: nosuid}}},
		{"rnoatime", parsedOptions{tree: attributes{set: unix.MOUNT_ATTR_NOATIME, clear: atime}}},
		{"rnorelatime", parsedOptions{tree: attributes{clear: atime}}},
		{"bind", parsedOptions{bind: true}},
		{"rbind", parsedOptions{bind: true, recursive: true}},
		{"bind remount rw", parsedOptions{bind: true, remount: true, mount: attributes{clear: ro}}},
		{"rslave private", parsedOptions{propagation: []propagationChange{{unix.MS_SLAVE, true}, {unix.MS_PRIVATE, false}}}},
		{"tmpcopyup src-nofollow", parsedOptions{copyUp: true, noFollow: true}},
		{"sync dirsync async lazytime nolazytime mand nomand",
			parsedOptions{parameters: []string{"sync", "dirsync", "async", "lazytime", "nolazytime", "mand", "nomand"}}},
		{"defaults silent loud iversion noiversion", parsedOptions{}},
		{"mode=755 size=64k", parsedOptions{parameters: []string{"mode=755", "size=64k"}}},
		{"mode=755,size=64k,,ro", parsedOptions{parameters: []string{"mode=755", "size=64k"}, mount: attributes{set: ro}}},
		{`context="u:r:t:s0:c1,c2",ro`, parsedOptions{parameters: []string{`context="u:r:t:s0:c1,c2"`}, mount: attributes{set: ro}}},
		{`lowerdir=/a\,b:/c,ro`, parsedOptions{parameters: []string{`lowerdir=/a\,b:/c`}, mount: attributes{set: ro}}},
		{"idmap", parsedOptions{idmap: ownersMapped{asked: true}}},
		{"ridmap=uids=0-1000-1", parsedOptions{idmap: ownersMapped{true, true, "uids=0-1000-1"}}},
		{"dest-nofollow copy-symlink", parsedOptions{coverLink: true, copyLink: true}},
		{"RO", parsedOptions{parameters: []string{"RO"}}},
	} {
		if got := parseMountOptions(strings.Fields(test.options)); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q:\n got %+v\nwant %+v", test.options, got, test.want)
		}
	}
}

func TestRecursiveOptionsCountForASingleMount(t *testing.T) {
	p := parseMountOptions([]string{"ro", "nosuid", "rrw", "rnodev"})
	want := attributes{set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, clear: unix.MOUNT_ATTR_RDONLY}
	if got := p.all(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestMergeChanges(t *testing.T) {
	type change = SetMountAttributes
	const ro, nosuid = unix.MOUNT_ATTR_RDONLY, unix.MOUNT_ATTR_NOSUID
	slave, private, shared := change{Propagation: unix.MS_SLAVE}, change{Propagation: unix.MS_PRIVATE}, change{Propagation: unix.MS_SHARED}
	deep := func(c change) change { c.Recursive = true; return c }
	for name, test := range map[string]struct {
		changes []change
		tree    bool
		want    []change
	}{
		"nothing":               {[]change{{}, deep(change{})}, true, nil},
		"one mount, one change": {[]change{{Set: ro}, deep(change{Set: nosuid}), deep(slave)}, false, []change{{Set: ro | nosuid, Propagation: unix.MS_SLAVE}}},
		"the later one wins":    {[]change{{Set: ro}, deep(change{Clear: ro})}, false, []change{{Clear: ro}}},
		"a tree keeps depths":   {[]change{{Set: ro}, deep(slave)}, true, []change{{Set: ro}, deep(slave)}},
		"private forgets slave": {[]change{deep(slave), deep(private)}, true, []change{deep(private)}},
		"only where it is":      {[]change{deep(slave), private}, true, []change{deep(slave), private}},
		"shared slave is both":  {[]change{slave, shared}, false, []change{slave, shared}},
		"slave of nobody":       {[]change{private, slave}, false, []change{private, slave}},
	} {
		if got := mergeChanges(slices.Clone(test.changes), test.tree); !slices.Equal(got, test.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, test.want)
		}
	}
}
