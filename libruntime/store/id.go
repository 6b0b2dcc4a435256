package store

import (
	"errors"
	"strconv"

	"github.com/bailey-oci/bailey/internal/fault"
)

// maxID is the length above which an ID is refused: it is a file name (NAME_MAX).
const maxID = 255

// CheckID refuses what cannot be a container's ID: anything but letters and digits of ASCII and "_+-.",
// the names "." and "..", and more than 255 characters. runc allows the same characters.
func CheckID(id string) error {
	bad := ""
	switch {
	case id == "":
		bad = "it is empty"
	case len(id) > maxID:
		bad = "it has " + strconv.Itoa(len(id)) + " characters, at most " + strconv.Itoa(maxID) + " are allowed"
	case id == "." || id == "..":
		bad = "it names a directory"
	}
	for i := 0; bad == "" && i < len(id); i++ {
		if !idByte(id[i]) {
			bad = "it may hold only letters, digits and the characters _ + - ."
		}
	}
	if bad == "" {
		return nil
	}
	return &fault.Error{Step: "invalid container ID format: " + strconv.Quote(shorten(id)), Err: errors.New(bad)}
}

func idByte(c byte) bool {
	switch {
	case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		return true
	}
	return c == '_' || c == '+' || c == '-' || c == '.'
}

// shorten keeps an error message readable whatever was given as an ID.
func shorten(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}
