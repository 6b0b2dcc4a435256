package security

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// fileCapabilities gives a file every capability, permitted and inheritable, for the user namespace with that root
// (struct vfs_ns_cap_data of linux/capability.h).
func fileCapabilities(path string, root uint32) error {
	const revision3 = 0x03000000
	var b []byte
	for _, word := range []uint32{revision3, ^uint32(0), ^uint32(0), 0x1ff, 0x1ff, root} {
		b = binary.LittleEndian.AppendUint32(b, word)
	}
	return unix.Setxattr(path, "security.capability", b, 0)
}

// Programs of the image that give capabilities, to an ordinary user, by set-user-ID or by their file: never more than
// the bounding set, nothing under no_new_privs, and nothing by set-user-ID where the securebits say so.
func TestProgramsThatGiveCapabilities(t *testing.T) {
	const bounding, none = "CapPrm 0000000000000081", "CapPrm 0000000000000000" // CHOWN, SETUID
	for _, v := range confinements {
		for _, test := range []struct {
			name       string
			noNewPrivs bool
			bits       string
			suid, file string
		}{
			{"plain", false, "", bounding, bounding},
			{"no_new_privs", true, "", none, none},
			{"noroot", false, "noroot,noroot_locked", none, bounding},
		} {
			t.Run(v.name+", "+test.name, func(t *testing.T) {
				e := newEnv(t)
				flags := v.flags
				if test.bits != "" {
					flags = append([]string{"-securebits", test.bits}, flags...)
				}
				const script = "/suid status CapPrm; /file status CapPrm; probe status CapPrm"
				c := e.Container(attacker(v), harness.Capabilities("CAP_CHOWN", "CAP_SETUID"), harness.Sh(script), func(s *specs.Spec) {
					s.Process.User = specs.User{UID: 1000, GID: 1000}
					s.Process.NoNewPrivileges = test.noNewPrivs
				})
				root := uint32(0)
				if v.userns {
					root = harness.UserBase
				}
				program, err := os.ReadFile(harness.Probe(t))
				e.Must(err)
				for _, name := range []string{"/suid", "/file"} {
					e.Must(os.WriteFile(c.Rootfs+name, program, 0o755))
					e.Must(os.Chown(c.Rootfs+name, int(root), int(root)))
				}
				e.Must(os.Chmod(c.Rootfs+"/suid", 0o755|os.ModeSetuid))
				e.Must(fileCapabilities(c.Rootfs+"/file", root))

				// What the user has of its own is in force until it executes something.
				want := fmt.Sprintln(test.suid) + fmt.Sprintln(test.file) + fmt.Sprintln(none)
				if out := c.RunConfined(flags...).OK(e); out != want {
					t.Errorf("the payload: %q, want %q", out, want)
				}
				c.Spec.Process.Args = []string{"sleep", "1000"}
				c.WriteSpec()
				c.RunConfined(append([]string{"-detach"}, flags...)...).OK(e)
				nnp := []string{"--user", "1000:1000"}
				if test.noNewPrivs {
					nnp = append(nnp, "--no-new-privs")
				}
				if out := c.Exec(nnp, "sh", "-c", script).OK(e); out != want {
					t.Errorf("exec: %q, want %q", out, want)
				}
				c.Delete("--force").OK(e)
				e.CheckNothingLeft()
			})
		}
	}
}

// Securebits are those that were asked for, of the payload and of what is executed later, and the locked ones stay.
func TestSecurebits(t *testing.T) {
	for _, v := range confinements {
		for bits, want := range map[string]string{
			"": "0x0", "noroot": "0x1", "noroot,noroot_locked,no_setuid_fixup,no_setuid_fixup_locked,keep_caps_locked": "0x2f",
			"no_cap_ambient_raise,no_cap_ambient_raise_locked": "0xc0",
		} {
			t.Run(v.name+", "+want, func(t *testing.T) {
				e := newEnv(t)
				// The ambient set is given in spite of no_cap_ambient_raise; CAP_SETPCAP is not left behind.
				caps := []string{"CAP_CHOWN", "CAP_KILL"}
				c := e.Container(attacker(v), func(s *specs.Spec) {
					s.Process.User = specs.User{UID: 1000, GID: 1000}
					s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Permitted: caps, Effective: caps, Inheritable: caps, Ambient: caps}
				})
				flags := v.flags
				if bits != "" {
					flags = append([]string{"-securebits", bits}, flags...)
				}
				const script = "probe status Securebits CapPrm CapEff CapInh CapAmb CapBnd"
				all := "Securebits " + want
				for _, set := range []string{"Prm", "Eff", "Inh", "Amb", "Bnd"} {
					all += "\nCap" + set + " 0000000000000021"
				}
				c.Spec.Process.Args = []string{"sh", "-c", script}
				c.WriteSpec()
				if out := strings.TrimSpace(c.RunConfined(flags...).OK(e)); out != all {
					t.Errorf("the payload: %s\nwant %s", out, all)
				}
				c.Spec.Process.Args = []string{"sleep", "1000"}
				c.WriteSpec()
				c.RunConfined(append([]string{"-detach"}, flags...)...).OK(e)
				if out := strings.TrimSpace(c.Exec([]string{"--user", "1000:1000"}, "sh", "-c", script).OK(e)); out != all {
					t.Errorf("exec: %s\nwant %s", out, all)
				}
				c.Delete("--force").OK(e)
				e.CheckNothingLeft()
			})
		}
	}
}
