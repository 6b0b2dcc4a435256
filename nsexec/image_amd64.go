//go:build !faults

package nsexec

import _ "embed" // the preamble

//go:embed preamble_amd64
var image []byte
