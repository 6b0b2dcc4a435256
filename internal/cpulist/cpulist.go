// Package cpulist reads the kernel's "list format" for CPUs and memory nodes (cpuset(7)): "0-3,7".
package cpulist

import (
	"fmt"
	"strconv"
	"strings"
)

// Each calls set for every number of list. It stops with an error at what is neither a number below limit nor a
// range of such.
func Each(list string, limit uint64, set func(n uint64)) error {
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.ParseUint(from, 10, 64)
		last, err2 := strconv.ParseUint(to, 10, 64)
		if err1 != nil || err2 != nil || first > last || last >= limit {
			return fmt.Errorf("%q is not a list of numbers below %d", list, limit)
		}
		for n := first; n <= last; n++ {
			set(n)
		}
	}
	return nil
}
