package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/sirupsen/logrus"
	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/internal/fault"
)

// reporter takes errors and warnings to standard error and to the log. The log is opened when there is
// something to write to it, which most runs of the program never have.
type reporter struct {
	stderr io.Writer

	path  string
	json  bool
	level logrus.Level
	log   *logrus.Logger
}

// configure takes the choices about the log from the global flags.
func (r *reporter) configure(ctx *cli.Context) error {
	r.path = ctx.String("log")
	r.level = logrus.ErrorLevel // for the error below
	var err error
	if r.json, err = logFormats.of(ctx, "log-format"); err != nil {
		return err
	}
	level, err := logLevels.of(ctx, "log-level")
	if err != nil {
		return err
	}
	if r.level = level; ctx.Bool("debug") {
		r.level = logrus.DebugLevel
	}
	return nil
}

var (
	logFormats = words[bool]{{"text", false}, {"json", true}}
	logLevels  = words[logrus.Level]{{"error", logrus.ErrorLevel}, {"warning", logrus.WarnLevel}, {"info", logrus.InfoLevel}, {"debug", logrus.DebugLevel}}
)

// warn reports what was asked for and not done without being an error.
func (r *reporter) warn(message string) {
	message = oneLine(message)
	if r.path == "" {
		if r.level >= logrus.WarnLevel {
			fmt.Fprint(r.stderr, "bailey: warning: "+message+"\n")
		}
		return
	}
	if l := r.logger(); l != nil {
		l.Warn(message)
	}
}

// failed reports the error that ends the program: on standard error, the last of what is written there, and
// as the log's last entry, which engines read.
func (r *reporter) failed(err error) {
	cause, remedy := fault.Explain(err)
	if r.path != "" {
		if l := r.logger(); l != nil {
			entry := oneLine(err.Error())
			if cause != "" {
				entry += "; cause: " + cause
			}
			if remedy != "" {
				entry += "; try: " + remedy
			}
			l.Error(entry)
		}
	}
	text := "bailey: " + oneLine(err.Error()) + "\n"
	if cause != "" {
		text += "  cause: " + indent(cause) + "\n"
	}
	if remedy != "" {
		text += "  try:   " + indent(remedy) + "\n"
	}
	fmt.Fprint(r.stderr, text)
}

// oneLine returns s with escapes in place of its control characters: what a hook has written, or a file of an
// image is named, must neither look like another error nor drive the reader's terminal.
func oneLine(s string) string {
	control := func(c rune) bool { return unicode.IsControl(c) || c == utf8.RuneError }
	if strings.IndexFunc(s, control) < 0 {
		return s
	}
	var b strings.Builder
	for _, c := range s {
		if !control(c) {
			b.WriteRune(c)
			continue
		}
		q := strconv.QuoteRuneToASCII(c)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

// indent keeps further lines of a text below its first.
func indent(s string) string { return strings.ReplaceAll(s, "\n", "\n         ") }

// logger opens the log; nil if that fails, which is said once on standard error.
func (r *reporter) logger() *logrus.Logger {
	if r.log != nil {
		return r.log
	}
	//nolint:forbidigo // the caller names it; O_NONBLOCK: it may be a FIFO that nobody reads
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0o644)
	if err != nil {
		fmt.Fprint(r.stderr, "bailey: warning: open the log: "+err.Error()+"\n")
		r.path = ""
		return nil
	}
	r.log = &logrus.Logger{Out: f, Level: r.level, Hooks: make(logrus.LevelHooks), ExitFunc: os.Exit}
	if r.json {
		r.log.Formatter = &logrus.JSONFormatter{}
	} else {
		r.log.Formatter = &logrus.TextFormatter{DisableColors: true}
	}
	return r.log
}
