package octal

import "testing"

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "/a b": "/a b", `/a\040b\011c\012\134`: "/a b\tc\n\\", `\`: `\`, `\04`: `\04`, `\048`: `\048`, `\777`: `\777`, `\:\072`: `\::`,
	} {
		if got := Unescape(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
