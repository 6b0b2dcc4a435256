package plan

import "errors"

// Reasons of compile errors, as they stand at the end of an error's line.
var (
	errMissing      = errors.New("missing")
	errInvalid      = errors.New("not allowed")
	errNotPermitted = errors.New("operation not permitted")
	errNotFound     = errors.New("executable file not found in $PATH")
)
