package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// showStatus prints lines of /proc/self/status, with the securebits.
func showStatus(names []string) {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		fail(err)
	}
	for _, name := range names {
		if name == "Securebits" {
			bits, err := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0)
			if err != nil {
				fail(err)
			}
			fmt.Printf("Securebits %#x\n", bits)
			continue
		}
		for line := range strings.Lines(string(data)) {
			if value, ok := strings.CutPrefix(line, name+":"); ok {
				fmt.Println(name, strings.Join(strings.Fields(value), " "))
			}
		}
	}
}
