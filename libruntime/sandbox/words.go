package sandbox

import (
	"strconv"
	"strings"
)

// units are those of sizes, the largest first.
var units = []struct {
	name  string
	bytes uint64
}{{"t", 1 << 40}, {"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}}

// ParseSize reads a number of bytes with an optional unit: 512m, 2G, 1048576.
func ParseSize(text string) (uint64, bool) {
	word, factor := strings.ToLower(text), uint64(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(word, u.name); ok {
			word, factor = n, u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil || n == 0 || n > (1<<63-1)/factor {
		return 0, false
	}
	return n * factor, true
}

func size(n uint64) string {
	for _, u := range units {
		if n%u.bytes == 0 {
			return decimal(n/u.bytes) + strings.ToUpper(u.name)
		}
	}
	return decimal(n)
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }
