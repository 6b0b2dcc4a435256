package spec

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/internal/fault"
)

// FuzzParse asserts for any input: nothing panics; an error is a *fault.Error of one line; the decoder agrees
// with the library's reflecting one; and what is valid survives writing and reading, still valid.
func FuzzParse(f *testing.F) {
	for _, s := range examples() {
		data, err := json.Marshal(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, patch := range accepted {
		f.Add(patched(f, patch))
	}
	for _, c := range refused {
		f.Add(patched(f, c.patch))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse(data)
		if err != nil {
			oneFault(t, err)
			return
		}
		sameAsReflection(t, data)
		if _, err := UnknownFields(data); err != nil {
			t.Errorf("UnknownFields refuses what Parse accepts: %v", err)
		}
		Warnings(s.Process)
		if err := Validate(s); err != nil {
			oneFault(t, err)
			return
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(again)
		if err != nil {
			t.Fatalf("what was written is refused: %v", err)
		}
		// Empty lists are not written, so the second and third reading are compared and not the first.
		if err := Validate(back); err != nil {
			t.Fatalf("no longer valid: %v", err)
		}
		third, err := json.Marshal(back)
		if err != nil {
			t.Fatal(err)
		}
		if last, err := Parse(third); err != nil || !reflect.DeepEqual(last, back) {
			t.Fatalf("changed by writing and reading: %v", err)
		}
	})
}

func oneFault(t *testing.T, err error) {
	t.Helper()
	if f := (*fault.Error)(nil); !errors.As(err, &f) {
		t.Errorf("%T is not a *fault.Error: %v", err, err)
	}
	if strings.ContainsAny(err.Error(), "\n\x00") {
		t.Errorf("more than one line: %q", err)
	}
}
