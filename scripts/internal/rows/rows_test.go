package rows

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/spec-conformance.md")

const root = "../../.."

func table(t *testing.T) []Row {
	t.Helper()
	f, err := os.Open(root + "/docs/spec-conformance.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := Parse(f)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The page is the table's.
func TestPage(t *testing.T) {
	const file = root + "/docs/spec-conformance.md"
	want := Markdown(table(t))
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("%s is not what the table says: go test ./scripts/internal/rows -update (%v)", file, err)
	}
}

// Every test that a row names is there.
func TestNames(t *testing.T) {
	there := make(map[string]map[string]bool)
	for _, r := range table(t) {
		for _, name := range append(r.Tests, r.VM...) {
			pkg, test, ok := strings.Cut(name, ".")
			if !ok {
				t.Fatalf("%s: %s", r.Feature, name)
			}
			dir := root + "/" + pkg
			if _, err := os.Stat(dir); err != nil {
				dir = root + "/tests/" + pkg
			}
			if there[dir] == nil {
				there[dir] = tests(t, dir)
			}
			if !there[dir][test] {
				t.Errorf("%s: there is no test %s", r.Feature, name)
			}
		}
	}
}

func tests(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, _ := filepath.Glob(dir + "/*_test.go")
	names := make(map[string]bool)
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}

func TestUnproven(t *testing.T) {
	all, err := Parse(strings.NewReader("= s\na | x.TestA vm:x.TestB\nb | no: why\n"))
	if err != nil || len(all) != 2 || all[1].Missing != "why" {
		t.Fatal(all, err)
	}
	if got := Unproven(all, false, map[string]bool{"m/tests/x.TestA": true}); len(got) != 0 {
		t.Error(got)
	}
	if got := Unproven(all, false, map[string]bool{"m/tests/xx.TestA": true}); len(got) != 1 || got[0].String() != "a: x.TestA" {
		t.Error(got)
	}
	if got := Unproven(all, true, nil); len(got) != 1 || got[0].String() != "a: x.TestB" {
		t.Error(got)
	}
	for _, bad := range []string{"a | x.T", "= s\na", "= s\na | "} {
		if _, err := Parse(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is a table", bad)
		}
	}
}
