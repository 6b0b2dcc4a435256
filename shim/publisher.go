package shim

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	"github.com/sirupsen/logrus"

	"github.com/bailey-oci/bailey/shim/wire"
)

const (
	eventsService = "containerd.services.events.ttrpc.v1.Events"
	// publishTimeout is how long containerd may take for one event.
	publishTimeout = 5 * time.Second
	// maxRetryDelay is how long a containerd that does not answer is left alone at most.
	maxRetryDelay = 5 * time.Second
	// maxQueue is how many events are kept for a containerd that is away; after that the oldest are lost.
	maxQueue = 4096
)

// publisher tells containerd of events, in their order. While containerd is away they wait.
type publisher struct {
	address, namespace string

	mu    sync.Mutex
	queue [][]byte
	// wake has room for one; idle is told when the queue has become empty.
	wake chan struct{}
	idle *sync.Cond

	client *ttrpc.Client // of the goroutine run
}

func newPublisher(address, namespace string) *publisher {
	p := &publisher{address: strings.TrimPrefix(address, "unix://"), namespace: namespace, wake: make(chan struct{}, 1)}
	p.idle = sync.NewCond(&p.mu)
	go p.run()
	return p
}

// send queues an event.
func (p *publisher) send(e wire.Event) {
	request := e.Forward(p.namespace, time.Now())
	p.mu.Lock()
	if len(p.queue) == maxQueue {
		p.queue = p.queue[1:]
	}
	p.queue = append(p.queue, request)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *publisher) run() {
	var delay time.Duration
	for range p.wake {
		for request := p.next(); request != nil; request = p.next() {
			err := p.forward(request)
			if err == nil {
				delay = 0
				p.sent(request)
				continue
			}
			delay = min(max(2*delay, 100*time.Millisecond), maxRetryDelay)
			logrus.WithError(err).Debug("containerd is not there to be told of an event")
			time.Sleep(delay)
		}
	}
}

func (p *publisher) next() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return nil
	}
	return p.queue[0]
}

// sent takes a request out of the queue, unless it had to make room meanwhile.
func (p *publisher) sent(request []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if &p.queue[0][0] == &request[0] {
		p.queue = p.queue[1:]
	}
	if len(p.queue) == 0 {
		p.queue = nil
		p.idle.Broadcast()
	}
}

func (p *publisher) forward(request []byte) error {
	if p.client == nil {
		conn, err := net.DialTimeout("unix", p.address, publishTimeout)
		if err != nil {
			return err
		}
		p.client = ttrpc.NewClient(conn)
	}
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	err := callRaw(ctx, p.client, eventsService, "Forward", request)
	if err != nil {
		_ = p.client.Close()
		p.client = nil
	}
	return err
}

// flush waits until everything has been told, at most for the given time.
func (p *publisher) flush(most time.Duration) {
	over := false
	timer := time.AfterFunc(most, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		over = true
		p.idle.Broadcast()
	})
	defer timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queue) > 0 && !over {
		p.idle.Wait()
	}
}
