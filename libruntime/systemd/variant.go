package systemd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ParseValue reads a property's value in the text form of GVariant, of which it knows strings ('x' or "x"), booleans,
// numbers (with a type before them, "uint64 5", or as int32), and arrays of strings (['a', 'b']).
func ParseValue(text string) (any, error) {
	p := &valueParser{rest: strings.TrimSpace(text)}
	v, err := p.value()
	if err == nil && p.rest != "" {
		err = fmt.Errorf("%q follows the value", p.rest)
	}
	return v, err
}

type valueParser struct{ rest string }

func (p *valueParser) skip() { p.rest = strings.TrimLeft(p.rest, " \t") }

func (p *valueParser) value() (any, error) {
	if p.rest == "" {
		return nil, errors.New("it is empty")
	}
	switch p.rest[0] {
	case '\'', '"':
		return p.quoted()
	case '[':
		return p.array()
	}
	word, _, _ := strings.Cut(p.rest, " ")
	p.rest = p.rest[len(word):]
	p.skip()
	switch word {
	case "true", "false":
		return word == "true", nil
	case "byte", "int16", "uint16", "handle", "objectpath", "signature":
		return nil, fmt.Errorf("bailey does not know values of the type %s", word)
	case "int32", "uint32", "int64", "uint64", "double", "boolean", "string":
		if word == "boolean" || word == "string" {
			return p.value()
		}
		number := p.rest
		p.rest = ""
		return parseNumber(word, number)
	}
	return parseNumber("int32", word)
}

func parseNumber(kind, text string) (any, error) {
	switch kind {
	case "int32":
		if strings.ContainsAny(text, ".eE") && !strings.HasPrefix(text, "0x") {
			return parseNumber("double", text)
		}
		n, err := strconv.ParseInt(text, 0, 32)
		return int32(n), numberError(text, err)
	case "uint32":
		n, err := strconv.ParseUint(text, 0, 32)
		return uint32(n), numberError(text, err)
	case "int64":
		n, err := strconv.ParseInt(text, 0, 64)
		return n, numberError(text, err)
	case "uint64":
		n, err := strconv.ParseUint(text, 0, 64)
		return n, numberError(text, err)
	}
	n, err := strconv.ParseFloat(text, 64)
	return n, numberError(text, err)
}

func numberError(text string, err error) error {
	if err == nil {
		return nil
	}
	if e := (*strconv.NumError)(nil); errors.As(err, &e) {
		err = e.Err
	}
	return fmt.Errorf("%q: %w", text, err)
}

// quoted reads a string up to the quote that it began with.
func (p *valueParser) quoted() (string, error) {
	quote := p.rest[0]
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch ch := p.rest[i]; ch {
		case quote:
			p.rest = p.rest[i+1:]
			p.skip()
			return b.String(), nil
		case '\\':
			if i++; i == len(p.rest) {
				return "", errors.New("it ends with a backslash")
			}
			b.WriteByte(p.rest[i])
		default:
			b.WriteByte(ch)
		}
	}
	return "", fmt.Errorf("a string without its closing %c", quote)
}

func (p *valueParser) array() (any, error) {
	list := []string{}
	p.rest = p.rest[1:]
	p.skip()
	for !strings.HasPrefix(p.rest, "]") {
		if len(list) > 0 {
			if !strings.HasPrefix(p.rest, ",") {
				return nil, errors.New("an array without its closing bracket")
			}
			p.rest = p.rest[1:]
			p.skip()
		}
		if p.rest == "" || p.rest[0] != '\'' && p.rest[0] != '"' {
			return nil, errors.New("an array of something else than strings")
		}
		s, err := p.quoted()
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	p.rest = p.rest[1:]
	p.skip()
	return list, nil
}
