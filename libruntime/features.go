package libruntime

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/libruntime/policy"
	"github.com/bailey-oci/bailey/libruntime/seccomp"
)

// Features says what is implemented. Engines switch features on by it, so what does not work yet is
// false here and not left out, which would mean "unknown".
func Features() *features.Features {
	yes := true
	return &features.Features{
		OCIVersionMin: "1.0.0",
		OCIVersionMax: specs.Version,
		Hooks:         []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
		MountOptions:  plan.MountOptions(),
		Linux: &features.Linux{
			Namespaces: []string{"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"},
			// All of those with a name, whatever this kernel knows.
			Capabilities: plan.CapabilityNames(1<<41 - 1),
			Cgroup:       &features.Cgroup{V1: &yes, V2: &yes, Systemd: &yes, SystemdUser: &yes, Rdma: &yes},
			Seccomp: &features.Seccomp{
				Enabled: &yes, Operators: seccomp.Operators(), Archs: seccomp.Architectures(),
				Actions:    seccomp.Actions(),
				KnownFlags: seccomp.KnownFlags(), SupportedFlags: seccomp.SupportedFlags(),
			},
			Apparmor:        &features.Apparmor{Enabled: &yes},
			Selinux:         &features.Selinux{Enabled: &yes},
			IntelRdt:        &features.IntelRdt{Enabled: &yes, Schemata: &yes, Monitoring: &yes},
			MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: &yes}},
			MemoryPolicy:    &features.MemoryPolicy{Modes: plan.MemoryModes(), Flags: plan.MemoryFlags()},
			NetDevices:      &features.NetDevices{Enabled: &yes},
		},
		// What follows the first is written to the unit, and may be anything that systemd does as root; the second decides how
		// a container is isolated, and takes from the machine's IDs.
		PotentiallyUnsafeConfigAnnotations: []string{"org.systemd.property.", policy.Prefix},
		Annotations: map[string]string{
			"io.github.seccomp.libseccomp.version": seccomp.LibraryVersion(),
		},
	}
}
