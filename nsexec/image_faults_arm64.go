//go:build faults

package nsexec

import _ "embed" // the preamble

//go:embed preamble_faults_arm64
var image []byte
