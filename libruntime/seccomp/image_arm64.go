//go:build !cgo

package seccomp

import _ "embed" // the program with libseccomp, and its version and checksum

//go:embed compiler_arm64
var image []byte

//go:embed compiler_arm64.version
var imageVersion string
