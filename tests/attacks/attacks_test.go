package attacks

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

var (
	show   = flag.Bool("show", false, "print the tables")
	update = flag.Bool("update", false, "write the tables into "+page)
)

func TestMain(m *testing.M) { harness.Main(m) }

// What every attack comes to under bailey is what the page says.
func TestTables(t *testing.T) {
	harness.NeedRoot(t)
	before, text, after := measured(t)
	want := parse(text)
	cells := make(map[string][]*cell)
	var mu sync.Mutex
	t.Run("measure", func(t *testing.T) {
		for _, p := range payloads {
			for i := range columns {
				col := &columns[i]
				if !col.available() {
					t.Logf("%s is not installed: its column is not measured", col.peer)
					continue
				}
				t.Run(p.title+"/"+col.name, func(t *testing.T) {
					t.Parallel()
					c := measure(t, col, &p)
					mu.Lock()
					cells[p.title] = append(cells[p.title], c)
					mu.Unlock()
					if !*update {
						c.compare(t, want[p.title])
					}
				})
			}
		}
	})
	for _, row := range cells {
		slices.SortFunc(row, func(a, b *cell) int { return index(a.col) - index(b.col) })
	}
	got := render(t, cells)
	if *show || *update {
		fmt.Println(got)
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(harness.Source(t, page), []byte(before+got+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func index(col *column) int {
	return slices.IndexFunc(columns, func(c column) bool { return c.name == col.name })
}

// compare compares the outcomes with the page's: bailey's have to be so, those of others are mentioned.
func (c *cell) compare(t *testing.T, want map[string]map[string]string) {
	t.Helper()
	differs := t.Errorf
	if !c.col.bailey() {
		differs = t.Logf
	}
	for _, name := range c.order {
		got, row := c.outcome[name], want[name]
		if other := alike[name]; other != "" && got != "not applicable" {
			row = want[other]
		}
		if row == nil {
			t.Errorf("%s: the page does not have it; make attacks ATTACKS=-update writes it", name)
			continue
		}
		if got != row[c.col.name] && !slices.Contains(elsewhere[name], got) {
			differs("%s: %s, the page says %s", name, got, row[c.col.name])
		}
	}
	for name := range want {
		if _, tried := c.outcome[name]; !tried {
			t.Errorf("%s: it was not tried", name)
		}
	}
}

// What is taken for as good elsewhere is no success, and is about attacks that there are.
func TestElsewhere(t *testing.T) {
	_, text, _ := measured(t)
	all := parse(text)
	for name, outcomes := range elsewhere {
		if slices.Contains(outcomes, "works") {
			t.Errorf("%s: a success is always worse", name)
		}
		for _, p := range payloads {
			if all[p.title][name] == nil {
				t.Errorf("%s: %s: no such row", p.title, name)
			}
		}
	}
}
