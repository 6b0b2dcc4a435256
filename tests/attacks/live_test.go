package attacks

import (
	"os"
	"testing"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// The attack on the runtime's binary is one: a program of the machine's that a container executes, and that nobody protects,
// is overwritten by it.
func TestUnprotectedBinaryIsOverwritten(t *testing.T) {
	harness.NeedRoot(t)
	t.Parallel()
	c := &cell{Env: harness.New(t, view()), col: &columns[0], payload: &payloads[len(payloads)-1]}
	busybox, err := os.ReadFile("/bin/busybox")
	c.Must(err)
	program := c.Path("program")
	c.Must(os.WriteFile(program, busybox, 0o755))
	b := c.container(harness.Mounted("/work/busybox", "bind", program, "bind"),
		harness.Sh("/abroad overwrite & i=0; while [ $i -lt 300 ] && /work/busybox sleep 0.01 2>/dev/null; do i=$((i+1)); done; echo >/stop; wait"))
	c.Must(os.WriteFile(b.Rootfs+"/work/busybox", nil, 0o755))
	c.launch(harness.Options{}, b).OK(c.Env)
	after, err := os.ReadFile(program)
	c.Must(err)
	if string(after) == string(busybox) {
		t.Error("the attack has done nothing")
	}
}
