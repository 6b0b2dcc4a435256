package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"
)

const serveAddress = "127.0.0.1:7000"

// serve is a program with a state that only its memory has: a number that no other run of it has, and a count.
func serve() {
	own := rand.Text()
	var count atomic.Int64
	go func() {
		for {
			time.Sleep(time.Millisecond)
			count.Add(1)
		}
	}()
	// CRIU does not know multipath TCP.
	var plain net.ListenConfig
	plain.SetMultipathTCP(false)
	listener, err := plain.Listen(context.Background(), "tcp", serveAddress)
	if err != nil {
		fail(err)
	}
	fmt.Println("serving")
	for {
		conn, err := listener.Accept()
		if err != nil {
			fail(err)
		}
		fmt.Fprintln(conn, own, count.Load())
		conn.Close()
	}
}

func ask() {
	conn, err := net.Dial("tcp", serveAddress)
	if err != nil {
		fail(err)
	}
	if _, err := io.Copy(os.Stdout, conn); err != nil {
		fail(err)
	}
}
