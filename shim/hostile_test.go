package shim

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/bailey-oci/bailey/shim/wire"
)

// served serves the task service, and returns where.
func served(t *testing.T, events string) (*service, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	must(t, err)
	server, err := ttrpc.NewServer()
	must(t, err)
	s := &service{namespace: "n", containers: make(map[string]*container), events: newPublisher(events, "n"), shutdown: func() {}}
	s.register(server)
	go func() { _ = server.Serve(context.Background(), l) }()
	t.Cleanup(func() { _ = server.Close() })
	return s, path
}

// ask makes a request that is in order, and returns the error of the answer.
func ask(t *testing.T, path, method string, request []byte) error {
	t.Helper()
	conn, err := net.Dial("unix", path)
	must(t, err)
	client := ttrpc.NewClient(conn)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	return callRaw(ctx, client, "containerd.task.v3.Task", method, request)
}

// Clients that say nothing that makes sense, or leave in the middle of it, do not keep others waiting.
func TestHostileClients(t *testing.T) {
	_, path := served(t, "/none")
	frame := func(length, stream uint32, kind, flags byte, body string) []byte {
		b := binary.BigEndian.AppendUint32(nil, length)
		b = binary.BigEndian.AppendUint32(b, stream)
		return append(append(b, kind, flags), body...)
	}
	for _, bytes := range [][]byte{
		nil, {0}, bytes.Repeat([]byte{0xff}, 64), []byte("GET / HTTP/1.1\r\n\r\n"),
		frame(0, 0, 0, 0, ""), frame(0, 1, 1, 0, ""), frame(100, 1, 1, 0, "too little"), frame(1<<31, 1, 1, 0, "x"),
		frame(4, 2, 1, 0, "even"), frame(4, 1, 9, 0xff, "kind"), frame(3, 1, 3, 0, "abc"),
	} {
		for _, leave := range []bool{true, false} {
			conn, err := net.Dial("unix", path)
			must(t, err)
			_, _ = conn.Write(bytes)
			if leave {
				conn.Close()
			} else {
				defer conn.Close()
			}
		}
	}
	for method, want := range map[string]string{"State": "container not created", "Create": "invalid", "None": "None"} {
		request := []byte("\x0a\x04none")
		if method == "Create" {
			request = []byte{0x0a, 0x7f}
		}
		if err := ask(t, path, method, request); err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(want)) {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// takeEvents is a containerd that takes events.
func takeEvents(t *testing.T, path string, take func(request []byte) error) *ttrpc.Server {
	t.Helper()
	l, err := net.Listen("unix", path)
	must(t, err)
	server, err := ttrpc.NewServer()
	must(t, err)
	server.Register(eventsService, map[string]ttrpc.Method{"Forward": func(_ context.Context, unmarshal func(any) error) (any, error) {
		var e emptypb.Empty
		if err := unmarshal(&e); err != nil {
			return nil, err
		}
		return new(emptypb.Empty), take(e.ProtoReflect().GetUnknown())
	}})
	go func() { _ = server.Serve(context.Background(), l) }()
	return server
}

// Events wait for a containerd that is not there yet, that goes away and comes again, and come in order, none of them lost.
func TestEventsOutliveContainerd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	p := newPublisher("unix://"+path, "n")
	const count = 60
	for i := range count / 3 {
		p.send(wire.TaskStart("c", i+1))
	}
	got := make(chan string, 4*count)
	take := func(request []byte) error {
		got <- string(request)
		return nil
	}
	server := takeEvents(t, path, take)
	for i := range count / 3 {
		p.send(wire.TaskStart("c", count/3+i+1))
	}
	p.flush(5 * time.Second)
	must(t, server.Close())
	for i := range count / 3 {
		p.send(wire.TaskStart("c", 2*count/3+i+1))
	}
	server = takeEvents(t, path, take)
	defer server.Close()
	p.flush(10 * time.Second)
	close(got)
	next := 1
	for request := range got {
		switch {
		case strings.Contains(request, string(startEvent(next))):
			next++
		case next > 1 && strings.Contains(request, string(startEvent(next-1))): // the connection was lost before the answer
		default:
			t.Fatalf("event %d is not the next", next)
		}
	}
	if next != count+1 {
		t.Errorf("%d events of %d", next-1, count)
	}
}

// An event that makes room for another one while it is being told is not taken for that one.
func TestEventsMakeRoom(t *testing.T) {
	p := &publisher{namespace: "n", wake: make(chan struct{}, 1)}
	p.idle = sync.NewCond(&p.mu)
	for i := range maxQueue {
		p.send(wire.TaskStart("c", i+1))
	}
	first := p.next()
	p.send(wire.TaskStart("c", 1))
	p.sent(first)
	if n := len(p.queue); n != maxQueue {
		t.Errorf("%d events wait, want %d", n, maxQueue)
	}
}

// startEvent is the body of the event that tells of a process ID.
func startEvent(pid int) []byte { return append([]byte("\x0a\x01c\x10"), byte(pid)) }

// A containerd that takes a connection and never answers does not keep requests waiting, nor the end.
func TestDeadContainerd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events")
	l, err := net.Listen("unix", path)
	must(t, err)
	defer l.Close()
	s, socket := served(t, path)
	for i := range 2 * maxQueue {
		s.events.send(wire.TaskStart("c", i+1))
	}
	begin := time.Now()
	if err := ask(t, socket, "State", []byte("\x0a\x04none")); err == nil {
		t.Error("no error")
	}
	s.events.flush(100 * time.Millisecond)
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	s.events.mu.Lock()
	defer s.events.mu.Unlock()
	if n := len(s.events.queue); n > maxQueue {
		t.Errorf("%d events wait", n)
	}
}
