//go:build !cgo

package seccomp

import _ "embed" // the program with libseccomp, and its version and checksum

//go:embed compiler_amd64
var image []byte

//go:embed compiler_amd64.version
var imageVersion string
