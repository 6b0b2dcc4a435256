package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/cgroups"
	_ "github.com/opencontainers/cgroups/devices" // device rules for the two below
	devconfig "github.com/opencontainers/cgroups/devices/config"
	"github.com/opencontainers/cgroups/fs"
	"github.com/opencontainers/cgroups/fs2"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// The field's own library is the reference: two cgroups with the same limits, one made by it and one
// by this package, have the same contents in every file that can be set.
func TestSameAsReference(t *testing.T) {
	needRoot(t)
	r := &specs.LinuxResources{Devices: rules("-a", "+c 10:229 rw", "+b 8:* r", "+c 10:229 m").Devices}
	ref := &cgroups.Resources{}
	for _, d := range []string{"a *:* rwm", "c 10:229 rwm", "b 8:* r", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm",
		"c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm", "c 10:200 rwm", "c *:* m", "b *:* m"} {
		f := strings.FieldsFunc(d, func(c rune) bool { return c == ' ' || c == ':' })
		rule := &devconfig.Rule{Type: devconfig.Type(f[0][0]), Major: anyNum, Minor: anyNum, Permissions: devconfig.Permissions(f[3]), Allow: f[0] != "a"}
		if n := devNo(f[1]); n != nil {
			rule.Major = *n
		}
		if n := devNo(f[2]); n != nil {
			rule.Minor = *n
		}
		ref.Devices = append(ref.Devices, rule)
	}
	if have(t, "memory") {
		r.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Reservation: ptr(int64(32 << 20))}
		ref.Memory, ref.MemoryReservation = 64<<20, 32<<20
		if Detect() != V2 {
			r.Memory.Swappiness, ref.MemorySwappiness = ptr(uint64(7)), ptr(uint64(7))
		}
	}
	if have(t, "cpu") {
		r.CPU = &specs.LinuxCPU{Shares: ptr(uint64(300)), Quota: ptr(int64(20000)), Period: ptr(uint64(40000)), Burst: ptr(uint64(1000))}
		ref.CpuShares, ref.CpuQuota, ref.CpuPeriod, ref.CpuBurst = 300, 20000, 40000, ptr(uint64(1000))
		ref.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(300)
	}
	if have(t, "cpuset") && r.CPU != nil {
		r.CPU.Cpus, ref.CpusetCpus = "0", "0"
	}
	if have(t, "pids") {
		r.Pids, ref.PidsLimit = &specs.LinuxPids{Limit: ptr(int64(77))}, ptr(int64(77))
	}
	if have(t, "hugetlb") {
		r.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}
		ref.HugetlbLimit = []*cgroups.HugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}
	}
	own := create(t, testSpec(t, r), Options{})

	cg := &cgroups.Cgroup{Path: testSpec(t, nil).Linux.CgroupsPath, Resources: ref}
	var lib cgroups.Manager
	var err error
	if Detect() == V2 {
		lib, err = fs2.NewManager(cg, "")
	} else {
		lib, err = fs.NewManager(cg, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lib.Destroy(); err != nil {
			t.Error(err)
		}
	})
	if err := lib.Apply(-1); err != nil {
		t.Fatal(err)
	}
	if err := lib.Set(ref); err != nil {
		t.Fatal(err)
	}
	for c, p := range own.Paths() {
		compareFiles(t, p, lib.Path(c))
	}
}

// compareFiles compares the settable files of two cgroups.
func compareFiles(t *testing.T, own, ref string) {
	t.Helper()
	entries, err := os.ReadDir(own)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm()&0o200 == 0 && e.Name() != "devices.list" {
			continue
		}
		a, errA := os.ReadFile(filepath.Join(own, e.Name()))
		b, errB := os.ReadFile(filepath.Join(ref, e.Name()))
		if strings.HasSuffix(e.Name(), ".pressure") || strings.Contains(e.Name(), "usage") {
			continue // measured, not set
		}
		linesA, linesB := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
		slices.Sort(linesA)
		slices.Sort(linesB)
		if !slices.Equal(linesA, linesB) || (errA == nil) != (errB == nil) {
			t.Errorf("%s/%s: %q (%v), the reference has %q (%v)", filepath.Base(filepath.Dir(filepath.Dir(own))), e.Name(), a, errA, b, errB)
		}
	}
}

func TestWeightOfSharesAsReference(t *testing.T) {
	for s := uint64(1); s < 300000; s += 1 + s/50 {
		if got, want := weightOfShares(s), cgroups.ConvertCPUSharesToCgroupV2Value(s); got != want {
			t.Errorf("weightOfShares(%d) = %d, want %d", s, got, want)
		}
	}
}

func BenchmarkReferenceCreate(b *testing.B) {
	needRoot(b)
	if Detect() == V2 {
		b.Skip("the comparison is about v1")
	}
	p := warmSpec(b).Linux.CgroupsPath
	for b.Loop() {
		r := &cgroups.Resources{Memory: 64 << 20, CpuShares: 512, CpuQuota: 50000, CpuPeriod: 100000, PidsLimit: ptr(int64(100)),
			Devices: []*devconfig.Rule{{Type: 'a', Major: -1, Minor: -1, Permissions: "rwm"}, {Type: 'c', Major: 1, Minor: 3, Permissions: "rwm", Allow: true}}}
		lib, err := fs.NewManager(&cgroups.Cgroup{Path: p, Resources: r}, nil)
		if err == nil {
			err = lib.Apply(-1)
		}
		if err == nil {
			err = lib.Set(r)
		}
		if err != nil {
			b.Fatal(err)
		}
		if err := lib.Destroy(); err != nil {
			b.Fatal(err)
		}
	}
}
