// Package octal reads what the kernel writes into lists such as mountinfo, where characters that would be taken for the
// list's own stand as a backslash and three octal digits (seq_escape, mangle_path).
package octal

import (
	"strconv"
	"strings"
)

// Unescape returns s with such characters put back. Any other backslash stays.
func Unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
