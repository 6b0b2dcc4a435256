package explained

import (
	"slices"
)

// failures are all of them, in the order of the list in docs/errors.md.
var failures = slices.Concat(idFailures, namespaceFailures, mountFailures, rightsFailures)
