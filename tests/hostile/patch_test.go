package hostile

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// patched returns JSON with a merge patch (RFC 7386) applied: null removes, objects merge, all else replaces.
func patched(t testing.TB, config []byte, patch string) []byte {
	t.Helper()
	target, change := parse(t, config), parse(t, []byte(patch))
	b, err := json.MarshalIndent(merge(target, change), "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// parse keeps numbers as they are written.
func parse(t testing.TB, text []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func merge(target, patch any) any {
	change, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	object, ok := target.(map[string]any)
	if !ok {
		object = make(map[string]any)
	}
	for key, value := range change {
		if value == nil {
			delete(object, key)
		} else {
			object[key] = merge(object[key], value)
		}
	}
	return object
}

// config returns the configuration of a container as it would be written.
func config(t testing.TB, c *harness.Container) []byte {
	t.Helper()
	b, err := json.Marshal(c.Spec)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
