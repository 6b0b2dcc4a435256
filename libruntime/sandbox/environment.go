package sandbox

import (
	"os"
	"slices"
	"strings"
)

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// kept are the variables that are passed on: how to talk to the terminal and to people. Others hold addresses of
// agents, tokens and paths that are not in the sandbox.
func kept(name string) bool {
	return name == "TERM" || name == "COLORTERM" || name == "NO_COLOR" || name == "LANG" || name == "LANGUAGE" || name == "TZ" ||
		strings.HasPrefix(name, "LC_")
}

// environment returns the command's variables.
func (b *builder) environment() ([]string, error) {
	env := []string{"PATH=" + searchPath, "HOME=" + b.home}
	for _, e := range os.Environ() {
		if name, _, ok := strings.Cut(e, "="); ok && kept(name) {
			env = append(env, e)
		}
	}
	for _, e := range b.o.Env {
		name, _, given := strings.Cut(e, "=")
		if name == "" {
			return nil, badFlag("env", e, "is not NAME=VALUE or NAME", "")
		}
		if !given {
			value, ok := os.LookupEnv(name)
			if !ok {
				return nil, badFlag("env", e, "is not set here, so its value cannot be passed on", "--env "+name+"=VALUE")
			}
			e = name + "=" + value
		}
		env = slices.DeleteFunc(env, func(have string) bool { return strings.HasPrefix(have, name+"=") })
		env = append(env, e)
		b.note("environment: " + name)
	}
	return env, nil
}
