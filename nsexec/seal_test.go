package nsexec

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/libruntime/plan"
	"golang.org/x/sys/unix"
)

// sealing returns the test container's plan with actions between what is done to its mounts and its session.
func sealing(script string, actions ...plan.Action) []plan.Action {
	all := container(script)
	at := slices.IndexFunc(all, func(a plan.Action) bool { return reflect.TypeOf(a) == reflect.TypeFor[plan.NewSession]() })
	return slices.Insert(all, at, append([]plan.Action{plan.OpenProc{}}, actions...)...)
}

// sealed is the seal of a container without a user namespace, with the limits given.
func sealed(limits ...plan.NamespaceLimit) []plan.Action {
	all := []plan.IDMapping{{Size: 1<<32 - 1}}
	return []plan.Action{
		plan.Seal{Namespaces: plan.UserNS, UIDs: all, GIDs: all},
		plan.Seal{Namespaces: plan.UserNS | plan.MountNS, UIDs: all, GIDs: all, Limits: limits},
		plan.DropBounding{Keep: 1 << unix.CAP_KILL},
	}
}

var (
	noUser   = plan.NamespaceLimit{Kind: plan.UserNS}
	noCgroup = plan.NamespaceLimit{Kind: plan.CgroupNS}
)

// The proof of the seal fails where there is none, or where a part of it is missing, and says which attack has worked.
func TestProofOfTheSealFails(t *testing.T) {
	masked := plan.ProveSeal{Masked: []string{"/proc/none", "/proc/keys"}}
	readonly := plan.ProveSeal{Readonly: []string{"/proc/sys"}}
	for name, c := range map[string]struct {
		actions []plan.Action
		want    string // "": the seal holds
	}{
		"procfs, with a mask":            {[]plan.Action{masked}, "mounting a new procfs /proc/keys"},
		"procfs, with a read-only path":  {[]plan.Action{readonly}, "mounting a new procfs /proc/sys"},
		"a mask":                         {[]plan.Action{plan.ProveSeal{Masked: []string{"/a/b/tmp"}}}, "unmounting what covers a path /a/b/tmp"},
		"a read-only path":               {[]plan.Action{plan.ReadonlyPath{Path: "/bin"}, plan.ProveSeal{Readonly: []string{"/bin"}}}, "making a read-only path writable /bin"},
		"nothing covered":                {[]plan.Action{plan.ProveSeal{Masked: []string{"/bin", "/none"}}}, "making a cgroup namespace"},
		"a seal without limits":          {append(sealed(), masked), "making a cgroup namespace"},
		"a seal without that of cgroups": {append(sealed(noUser), masked), "making a cgroup namespace"},
		"a seal without that of users":   {append(sealed(noCgroup), masked), "making a user namespace"},
		"a seal whose limit leaves one":  {append(sealed(noCgroup, plan.NamespaceLimit{Kind: plan.UserNS, Most: 2}), masked), "making a user namespace"},
		"a seal":                         {append(sealed(noUser, noCgroup), plan.ProveSeal{Masked: []string{"/proc/keys", "/a/b/tmp"}, Readonly: []string{"/proc/sys"}}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			init, err := run(t, tree(t, rootfs(t)), sealing("exit 0", c.actions...))
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				init.End()
				return
			}
			if !errors.Is(err, errSealBroken) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want that it names %q", err, c.want)
			}
			if err == nil {
				init.End()
			}
		})
	}
}

// What fails in the child that stays outside of the seal is reported with its own words.
func TestSealFailures(t *testing.T) {
	one := []plan.IDMapping{{Size: 1}}
	for name, c := range map[string]struct {
		action plan.Action
		want   []string
	}{
		"a map that overlaps": {plan.Seal{Namespaces: plan.UserNS, UIDs: append(one, one...), GIDs: one}, []string{"uid_map", "write", "EINVAL"}},
		"no group map":        {plan.Seal{Namespaces: plan.UserNS, UIDs: one}, []string{"gid_map", "EINVAL"}},
		"no such limit": {plan.Seal{Namespaces: plan.UserNS, UIDs: one, GIDs: one, Limits: []plan.NamespaceLimit{{Kind: 1 << 40}}},
			[]string{"max_0x10000000000_namespaces", "openat2", "ENOENT"}},
		"no such namespace": {plan.Seal{Namespaces: 1 << 1, UIDs: one, GIDs: one}, []string{"unshare", "EINVAL"}},
	} {
		t.Run(name, func(t *testing.T) {
			init, err := run(t, tree(t, rootfs(t)), sealing("exit 0", c.action))
			if err == nil {
				init.End()
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not name %q", err, want)
				}
			}
		})
	}
}
