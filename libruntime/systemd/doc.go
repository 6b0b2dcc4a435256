// Package systemd asks systemd for scopes: the cgroups that it makes, and accounts and limits, for processes that it
// did not start itself (systemd.scope(5), org.freedesktop.systemd1(5)).
//
// It has a D-Bus client of its own, for the few calls that this takes. A general one would cost every start of bailey,
// with systemd or without, more than the calls themselves: package net, reflection over message types, a goroutine for
// each connection.
package systemd
