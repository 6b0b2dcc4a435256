package shim

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/shim/wire"
)

// ttrpc's messages have to be protobuf's. One without fields carries any bytes, as fields that it does not know.

func carry(b []byte) *emptypb.Empty {
	m := new(emptypb.Empty)
	m.ProtoReflect().SetUnknown(b)
	return m
}

func callRaw(ctx context.Context, c *ttrpc.Client, service, method string, request []byte) error {
	return c.Call(ctx, service, method, carry(request), new(emptypb.Empty))
}

// quietAfter is after how long without a request the memory that requests have left is given back.
const quietAfter = 3 * time.Second

var quiet = func() *time.Timer {
	t := time.AfterFunc(quietAfter, debug.FreeOSMemory)
	t.Stop() // until there is a request
	return t
}()

// method makes a method of a function that takes a request of type R.
func method[R any, P interface {
	*R
	wire.Request
}](do func(context.Context, P) (wire.Response, error)) ttrpc.Method {
	return func(ctx context.Context, unmarshal func(any) error) (any, error) {
		var carrier emptypb.Empty
		if err := unmarshal(&carrier); err != nil {
			return nil, err
		}
		request := P(new(R))
		if err := request.Decode(carrier.ProtoReflect().GetUnknown()); err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
		defer quiet.Reset(quietAfter)
		response, err := do(ctx, request)
		if err != nil {
			return nil, rpcError(err)
		}
		return carry(response.Encode()), nil
	}
}

// codedError is an error that says by a code what containerd is to make of it.
type codedError struct {
	code codes.Code
	text string
}

func (e *codedError) Error() string { return e.text }

func notFound(text string) error     { return &codedError{codes.NotFound, text} }
func precondition(text string) error { return &codedError{codes.FailedPrecondition, text} }
func exists(text string) error       { return &codedError{codes.AlreadyExists, text} }
func invalid(text string) error      { return &codedError{codes.InvalidArgument, text} }

// rpcError says an error as containerd understands it. The words are those that engines look for.
func rpcError(err error) error {
	code := codes.Unknown
	var coded *codedError
	switch {
	case errors.As(err, &coded):
		code = coded.code
	case errors.Is(err, libruntime.ErrNotExist):
		code = codes.NotFound
	case errors.Is(err, libruntime.ErrExist):
		code = codes.AlreadyExists
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	}
	text := err.Error()
	if cause, remedy := fault.Explain(err); cause != "" || remedy != "" {
		if cause != "" {
			text += "; cause: " + cause
		}
		if remedy != "" {
			text += "; try: " + remedy
		}
	}
	return status.Error(code, text)
}
