package engine

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Get returns what a web server answers.
func Get(url string) (string, error) {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if r.StatusCode != http.StatusOK {
		return string(b), errors.New(r.Status)
	}
	return string(b), err
}

// Serves waits until a web server answers this.
func Serves(t testing.TB, url, text string) {
	t.Helper()
	answers(t, url, text, func() (string, error) { return Get(url) })
}

// Redis returns what a server of redis answers to a command.
func Redis(address, command string) (string, error) {
	conn, err := net.DialTimeout("tcp", address, 2*time.Second)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return "", err
	}
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err == nil && strings.HasPrefix(line, "$") {
		line, err = r.ReadString('\n')
	}
	return strings.TrimSpace(line), err
}

// RedisAnswers waits until a server of redis answers this.
func RedisAnswers(t testing.TB, address, command, text string) {
	t.Helper()
	answers(t, command, text, func() (string, error) { return Redis(address, command) })
}

func answers(t testing.TB, what, text string, ask func() (string, error)) {
	t.Helper()
	Eventually(t, what+" is answered", func() error {
		got, err := ask()
		if err != nil {
			return err
		}
		return Contains(got, text)
	})
}
