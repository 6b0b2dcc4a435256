// Package userns has containers that get a user namespace of their own from bailey, and the ledger and the policies behind it,
// in real containers.
package userns
