package nsexec

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An init that ends before it has read that it may start has not executed anything.
func TestStartOfAnInitThatEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "start.sock")
	listener, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error, 1)
	go func() { started <- Start(path, 0, Starting{}) }()
	time.Sleep(50 * time.Millisecond) // for the connection, which nobody accepts
	listener.Close()
	err = <-started
	if err == nil || !strings.Contains(err.Error(), "container's init") {
		t.Errorf("started: %v", err)
	}
}
