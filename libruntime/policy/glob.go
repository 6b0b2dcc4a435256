package policy

// glob is a pattern. In it "*" is any run of characters without "/", "**" any run at all, "?" one character other than
// "/"; a backslash takes the next character's meaning away. Every other character is itself. It has to match the
// whole text.
type glob string

// check returns why the pattern is none, or "".
func (g glob) check() string {
	if g == "" {
		return "is empty"
	}
	escaped := false
	for _, c := range g {
		escaped = c == '\\' && !escaped
	}
	if escaped {
		return "ends with a backslash"
	}
	return ""
}

// token is one element of a pattern: a character, or one of these.
type token rune

const (
	anyCharacter token = -1 - iota // ?
	anyInName                      // *
	anyAtAll                       // **
)

func (g glob) tokens() []token {
	tokens := make([]token, 0, len(g))
	escaped := false
	for _, c := range g {
		last := len(tokens) - 1
		switch {
		case escaped:
			tokens = append(tokens, token(c))
			escaped = false
		case c == '\\':
			escaped = true
		case c == '?':
			tokens = append(tokens, anyCharacter)
		case c == '*' && last >= 0 && tokens[last] < anyCharacter:
			tokens[last] = anyAtAll
		case c == '*':
			tokens = append(tokens, anyInName)
		default:
			tokens = append(tokens, token(c))
		}
	}
	return tokens
}

// matches reports whether the pattern matches the whole of s. It keeps every place in the pattern that the text so
// far may have led to, so that it takes time in proportion to the lengths of both, whatever the pattern: annotations
// are long, and come from others.
func (g glob) matches(s string) bool {
	tokens := g.tokens()
	now, next := make([]bool, len(tokens)+1), make([]bool, len(tokens)+1)
	now[0] = true
	passStars(tokens, now)
	for _, c := range s {
		clear(next)
		for at, t := range tokens {
			switch {
			case !now[at]:
			case t == anyAtAll, t == anyInName && c != '/':
				next[at] = true
			case t == token(c), t == anyCharacter && c != '/':
				next[at+1] = true
			}
		}
		passStars(tokens, next)
		now, next = next, now
	}
	return now[len(tokens)]
}

// passStars adds the places behind stars, which match nothing as well.
func passStars(tokens []token, places []bool) {
	for at, t := range tokens {
		if places[at] && t < anyCharacter {
			places[at+1] = true
		}
	}
}
