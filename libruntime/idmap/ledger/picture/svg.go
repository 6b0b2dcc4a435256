package picture

import (
	"fmt"
	"hash/fnv"
	"io"
	"strings"

	"github.com/bailey-oci/bailey/libruntime/idmap/ledger"
)

// Sizes in pixels.
const (
	margin  = 24
	label   = 96 // the IDs left of the rows
	side    = 14 // of a cell
	gap     = 5  // between rows
	width   = margin + label + columns*side + margin
	letters = 7 // the width of a letter, on the safe side
)

var fills = [...]string{free: "#eef1f4", resting: "url(#resting)", shared: "#b48ead", foreign: "#d62839"}

// SVG writes the picture as an image. Titles say, under the pointer, what each part is.
func SVG(w io.Writer, s *ledger.Snapshot) error {
	d := &drawing{y: margin}
	list := grids(s)
	d.text(margin, d.down(18), 18, "#1b263b", "bold", "Who has which IDs")
	d.text(margin, d.down(22), 13, "#415a77", "", summary(s, list))
	d.overview(s)
	for i := range list {
		d.grid(&list[i])
	}
	d.legend()
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %d" font-family="DejaVu Sans, Verdana, sans-serif">
<defs><pattern id="resting" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="#f6e3b4"/><rect width="2.5" height="6" fill="#e0a72e"/></pattern></defs>
<rect width="100%%" height="100%%" fill="#ffffff"/>
%s</svg>
`, width, d.y+margin, d.String())
	return err
}

type drawing struct {
	strings.Builder
	y int
}

// down moves down and returns where that is.
func (d *drawing) down(by int) int {
	d.y += by
	return d.y
}

func (d *drawing) text(x, y, size int, fill, weight, s string) {
	if weight != "" {
		weight = ` font-weight="` + weight + `"`
	}
	fmt.Fprintf(d, "<text x=\"%d\" y=\"%d\" font-size=\"%d\" fill=\"%s\"%s>%s</text>\n", x, y, size, fill, weight, escape(s))
}

func (d *drawing) rect(x, y, w, h float64, fill, title string) {
	fmt.Fprintf(d, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"`, x, y, w, h, fill)
	if title == "" {
		d.WriteString("/>\n")
		return
	}
	fmt.Fprintf(d, "><title>%s</title></rect>\n", escape(title))
}

// overview is a strip of all IDs that there are, with the accounts below it.
func (d *drawing) overview(s *ledger.Snapshot) {
	const full = width - 2*margin
	scale := float64(full) / (1 << 32)
	d.text(margin, d.down(34), 13, "#1b263b", "bold", "All IDs, and the accounts that have some")
	y := d.down(10)
	d.rect(margin, float64(y), full, 22, fills[free], "IDs of no account")
	for _, g := range s.Grants {
		d.rect(margin+float64(g.First)*scale, float64(y), max(2, float64(g.Size)*scale), 22, account(g), grant(g))
	}
	y = d.down(36)
	for i := range 5 {
		text, x := fmt.Sprintf("%d·2³⁰", i), margin+i*(full-1)/4
		switch i {
		case 0:
			text = "0"
		case 4:
			x -= 5 * letters
		}
		d.text(x, y, 10, "#778da9", "", text)
	}
	d.y += 4
	for i, g := range s.Grants {
		if i == mostRows {
			d.text(margin+18, d.down(18), 12, "#415a77", "", fmt.Sprintf("and %d more", len(s.Grants)-i))
			break
		}
		y := d.down(18)
		d.rect(margin, float64(y-10), 11, 11, account(g), "")
		d.text(margin+18, y, 12, "#1b263b", "", grant(g))
	}
}

func account(g ledger.Grant) string {
	if g.Own {
		return "#1d6fa5"
	}
	return "#adb5bd"
}

func grant(g ledger.Grant) string {
	return fmt.Sprintf("%s: %d-%d (%d)", g.Account, g.First, uint64(g.First)+uint64(g.Size)-1, g.Size)
}

// grid is the rows of a range of the account.
func (d *drawing) grid(g *grid) {
	d.text(margin, d.down(38), 13, "#1b263b", "bold", fmt.Sprintf("%d-%d: one cell is %d IDs", g.first, g.end-1, g.cell))
	top := d.down(10)
	pitch := side + gap
	for row := range g.rows {
		from := g.first + uint64(row)*columns*g.cell
		y := top + row*pitch
		d.text(margin, y+side-3, 11, "#778da9", "", fmt.Sprint(from))
		cells := float64(min(g.end-from, columns*g.cell)) / float64(g.cell)
		d.rect(margin+label, float64(y), cells*side, side, fills[free], "")
		for i := 1; float64(i) < cells; i++ {
			d.rect(float64(margin+label+i*side), float64(y), 0.5, side, "#ffffff", "")
		}
	}
	for _, r := range g.runs {
		d.run(g, r, top)
	}
	d.y = top + g.rows*pitch
}

// run is a piece in each row that a run reaches into.
func (d *drawing) run(g *grid, r run, top int) {
	line := columns * g.cell
	named := r.kind != held
	for first := r.first; first < r.end; {
		row := (first - g.first) / line
		end := min(r.end, g.first+(row+1)*line)
		x := float64(margin+label) + float64(first-g.first-row*line)/float64(g.cell)*side
		y := top + int(row)*(side+gap)
		w := float64(end-first) / float64(g.cell) * side
		title := fmt.Sprintf("%d-%d: %s", r.first, r.end-1, r.who)
		fill := fills[r.kind]
		if r.kind == held {
			fill = hue(r.id)
		}
		// The edge tells neighbours apart; nothing becomes so thin that it is not seen.
		d.rect(x, float64(y), max(1.2, w-0.8), side, fill, title)
		if id := r.id; !named && float64(len(id)*letters+6) < w {
			named = true
			d.text(int(x)+4, y+side-3, 10, "#ffffff", "", id)
		}
		first = end
	}
}

// hue returns a colour for a container, the same in every picture.
func hue(id string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	// Green to blue: red is for what is wrong, yellow for what rests.
	return fmt.Sprintf("hsl(%d,%d%%,%d%%)", 140+h.Sum32()%100, 45+h.Sum32()/100%25, 32+h.Sum32()/2500%14)
}

func (d *drawing) legend() {
	x, y := margin, d.down(36)
	for k, word := range words {
		fill := fills[k]
		if kind(k) == held {
			fill = hue("web")
		}
		d.rect(float64(x), float64(y-10), 11, 11, fill, "")
		d.text(x+18, y, 12, "#1b263b", "", word)
		x += 18 + len(word)*letters + 18
	}
}

// escape returns a text as XML has it.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(clean(s))
}
