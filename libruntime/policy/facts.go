package policy

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"github.com/bailey-oci/bailey/internal/userns"
)

// Facts are what a decision depends on besides the policy.
type Facts struct {
	// Annotations are those of config.json.
	Annotations map[string]string
	// Bundle and Rootfs are absolute paths, as the caller and config.json name them: links are not resolved.
	Bundle, Rootfs string
	// Engines are the container engines that call, and User the user who does. Where they are nil, they are found out by
	// DetectEngines and Caller once a rule asks for them.
	Engines []string
	User    *User
}

// User is a user of the machine.
type User struct {
	UID uint32
	// Names are those of /etc/passwd. A static program knows no other users.
	Names []string
}

// known are the facts with those that were found out.
type known struct{ Facts }

func (k *known) user() *User {
	if k.User == nil {
		k.User = Caller()
	}
	return k.User
}

func (k *known) engines() []string {
	if k.Engines == nil {
		k.Engines = DetectEngines(k.Annotations, k.Bundle)
	}
	return k.Engines
}

// Caller returns the user that bailey works for: the effective one. Root of a user namespace, as Podman makes one for
// an ordinary user, is the user that it is outside of it.
func Caller() *User {
	uid := uint32(os.Geteuid())
	if userns.Other() {
		if data, err := os.ReadFile("/proc/self/uid_map"); err == nil {
			uid = outside(data, uid)
		}
	}
	return userOf(passwd(), uid)
}

// FindUser returns the user with a number or a name. A name that the machine does not know is a user without a
// number.
func FindUser(s string) *User {
	file := passwd()
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return userOf(file, uint32(n))
	}
	for name, uid := range users(file) {
		if name == s {
			return userOf(file, uid)
		}
	}
	return &User{UID: noID, Names: []string{s}}
}

// noID is the number that no user has.
const noID = 1<<32 - 1

func passwd() []byte {
	data, _ := os.ReadFile("/etc/passwd") // without it no user has a name
	return data
}

func userOf(passwd []byte, uid uint32) *User {
	u := &User{UID: uid}
	for name, n := range users(passwd) {
		if n == uid {
			u.Names = append(u.Names, name)
		}
	}
	return u
}

// users goes through the names and numbers of a passwd file.
func users(passwd []byte) func(yield func(string, uint32) bool) {
	return func(yield func(string, uint32) bool) {
		for line := range strings.Lines(string(passwd)) {
			f := strings.Split(line, ":")
			if len(f) < 3 {
				continue
			}
			if n, err := strconv.ParseUint(f[2], 10, 32); err == nil && !yield(f[0], uint32(n)) {
				return
			}
		}
	}
}

// outside returns what a uid_map has for a user of its namespace.
func outside(uidMap []byte, uid uint32) uint32 {
	for line := range bytes.Lines(uidMap) {
		var n [3]uint64
		f := bytes.Fields(line)
		if len(f) != len(n) {
			continue
		}
		for i := range n {
			n[i], _ = strconv.ParseUint(string(f[i]), 10, 32) // the kernel writes nothing else
		}
		if u := uint64(uid); u >= n[0] && u-n[0] < n[2] {
			return uint32(n[1] + u - n[0])
		}
	}
	return uid
}
