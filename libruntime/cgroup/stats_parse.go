package cgroup

import (
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// reader reads control files of one cgroup; missing ones are zero, other errors are kept.
type reader struct {
	dir  dir
	file string
	err  error
}

func (r *reader) text(file string) string {
	if r.err != nil {
		return ""
	}
	text, err := r.dir.read(file)
	// EOPNOTSUPP: PSI is switched off, or the file has nothing to say in this kernel.
	if err != nil && !gone(err) && err != unix.EOPNOTSUPP {
		r.file, r.err = file, err
	}
	return text
}

// num reads a single number; "max" and negative numbers, which stand for no limit, are math.MaxUint64.
func (r *reader) num(file string) uint64 {
	text := strings.TrimSpace(r.text(file))
	if text == "" {
		return 0
	}
	return r.parse(file, text)
}

func (r *reader) parse(file, text string) uint64 {
	if text == "max" || strings.HasPrefix(text, "-") {
		return math.MaxUint64
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil && r.err == nil {
		r.file, r.err = file, err
	}
	return n
}

// keyed reads lines of a name and a number.
func (r *reader) keyed(file string) map[string]uint64 { return r.lines(file, r.text(file)) }

// lines is keyed for a text that was read from the file.
func (r *reader) lines(file, text string) map[string]uint64 {
	m := make(map[string]uint64)
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 2 {
			m[f[0]] = r.parse(file, f[1])
		}
	}
	return m
}

// nums reads numbers separated by blanks.
func (r *reader) nums(file string) []uint64 {
	var all []uint64
	for _, f := range strings.Fields(r.text(file)) {
		all = append(all, r.parse(file, f))
	}
	return all
}

// list reads a list of numbers and ranges ("0-3,8").
func (r *reader) list(file string) []uint16 {
	var all []uint16
	for part := range strings.SplitSeq(strings.TrimSpace(r.text(file)), ",") {
		if part == "" {
			continue
		}
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		for n, end := r.parse(file, first), r.parse(file, last); n <= end && n <= math.MaxUint16; n++ {
			all = append(all, uint16(n))
		}
	}
	return all
}

// psi reads a pressure file, or returns nil where the kernel has none.
func (r *reader) psi(file string) *PSI {
	text := r.text(file)
	if text == "" {
		return nil
	}
	p := &PSI{}
	for line := range strings.Lines(text) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		data := &p.Some
		if kind == "full" {
			data = &p.Full
		}
		for _, f := range strings.Fields(rest) {
			name, value, _ := strings.Cut(f, "=")
			avg, _ := strconv.ParseFloat(value, 64)
			switch name {
			case "avg10":
				data.Avg10 = avg
			case "avg60":
				data.Avg60 = avg
			case "avg300":
				data.Avg300 = avg
			case "total":
				data.Total = r.parse(file, value)
			}
		}
	}
	return p
}

const nsPerUsec = uint64(time.Microsecond)
