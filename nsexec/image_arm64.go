//go:build !faults

package nsexec

import _ "embed" // the preamble

//go:embed preamble_arm64
var image []byte
