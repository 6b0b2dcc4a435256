package spec

import (
	"fmt"
	"strconv"
	"strings"
)

// maxListNumber bounds the numbers in lists of CPUs and memory nodes. It is above every CONFIG_NR_CPUS and
// keeps whoever turns a list into a mask from building one of gigabytes.
const maxListNumber = 65535

// badList says why list is not in the kernel's "list format" for CPUs and memory nodes, comma-separated
// numbers and ranges ("0-3,7"), or returns "". The empty list is one.
func badList(list string) string {
	if list == "" {
		return ""
	}
	// The kernel ignores a line break at the end, and engines copy lists from files that have one.
	for part := range strings.SplitSeq(strings.TrimSuffix(list, "\n"), ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, ok := listNumber(first)
		to := from
		if ok && isRange {
			to, ok = listNumber(last)
		}
		switch {
		case !ok:
			return fmt.Sprintf("%q is not a number from 0 to %d or a range of two such as 0-3", part, maxListNumber)
		case to < from:
			return fmt.Sprintf("the range %q runs backwards", part)
		}
	}
	return ""
}

func listNumber(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n <= maxListNumber
}
