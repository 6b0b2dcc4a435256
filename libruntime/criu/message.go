package criu

import (
	"strconv"

	"github.com/bailey-oci/bailey/internal/protobuf"
)

// request is a kind of request (enum criu_req_type).
type request uint64

// The requests that bailey makes, and the notification, which comes as a response.
const (
	dump         request = 1
	restore      request = 2
	preDump      request = 4
	notification request = 6
	featureCheck request = 9
)

func (r request) String() string {
	switch r {
	case dump:
		return "dump"
	case restore:
		return "restore"
	case preDump:
		return "pre-dump"
	case featureCheck:
		return "feature check"
	}
	return "request " + strconv.FormatUint(uint64(r), 10)
}

// message is a message of Protocol Buffers being put together. Fields that are not set are left out.
type message []byte

func (m *message) number(field, v uint64) { *m = protobuf.AppendNumber(*m, field, v) }

func (m *message) set(field uint64, v bool) {
	if v {
		m.number(field, 1)
	}
}

func (m *message) text(field uint64, s string) {
	if s != "" {
		m.inner(field, message(s))
	}
}

func (m *message) inner(field uint64, inner message) { *m = protobuf.AppendBytes(*m, field, inner) }

// fd adds a descriptor, an int32 of which -1 means none.
func (m *message) fd(field uint64, fd int) {
	if fd >= 0 {
		m.number(field, uint64(fd))
	}
}

// encode returns the options as a message criu_opts.
func (o *Options) encode() message {
	var m message
	m.number(1, uint64(o.Images.Fd()))
	if o.PID != 0 {
		m.number(2, uint64(o.PID))
	}
	m.set(3, o.LeaveRunning)
	m.set(4, o.ExternalUnixSockets)
	m.set(5, o.TCPEstablished)
	m.set(7, o.ShellJob)
	m.set(8, o.FileLocks)
	m.number(9, logLevel)
	m.text(10, o.LogFile)
	if p := o.PageServer; p != nil {
		var server message
		server.text(1, p.Address)
		server.number(2, uint64(p.Port))
		m.inner(11, server)
	}
	m.set(12, o.Notify != nil)
	m.text(13, o.Root)
	m.text(14, o.Parent)
	m.set(15, o.TrackMemory)
	m.set(16, o.AutoDedup)
	m.number(17, uint64(o.Work.Fd()))
	m.set(18, o.LinkRemap)
	// What versions before manage_cgroups_mode go by.
	m.set(24, o.Cgroups != IgnoreCgroups)
	for _, r := range o.CgroupRoots {
		var root message
		root.text(1, r.Controller)
		root.text(2, r.Path)
		m.inner(25, root)
	}
	m.set(26, o.Sibling)
	for i, f := range o.Inherit {
		var inherit message
		inherit.text(1, f.Key)
		inherit.number(2, uint64(firstInherited+i))
		m.inner(27, inherit)
	}
	m.number(34, uint64(o.Cgroups))
	for _, e := range o.External {
		m.text(37, e)
	}
	if o.EmptyNamespaces != 0 {
		m.number(38, uint64(o.EmptyNamespaces))
	}
	for _, j := range o.Join {
		var join message
		join.text(1, j.Kind)
		join.text(2, j.Path)
		m.inner(39, join)
	}
	for _, c := range o.CgroupControllers {
		m.inner(43, message(c))
	}
	m.text(44, o.FreezeCgroup)
	m.set(46, o.TCPSkipInFlight)
	m.set(48, o.LazyPages)
	m.fd(49, o.StatusFD)
	m.set(50, o.OrphanTerminal)
	m.text(51, o.ConfigFile)
	m.text(53, o.LSMProfile)
	m.text(60, o.CgroupYard)
	m.text(63, o.LSMMountContext)
	return m
}

// response is what is used of a message criu_resp.
type response struct {
	kind    request
	success bool
	errno   int32
	message string
	// script and pid are those of a notification; pid is also that of a restored process.
	script string
	pid    int
	// features are those of a feature check.
	features Features
}

// decode reads a message criu_resp. What it does not know it passes over.
func decode(b []byte) (*response, error) {
	r := new(response)
	err := protobuf.Fields(b, func(field, v uint64, inner []byte) error {
		switch field {
		case 1:
			r.kind = request(v)
		case 2:
			r.success = v != 0
		case 4: // criu_restore_resp
			return protobuf.Fields(inner, func(field, v uint64, _ []byte) error {
				if field == 1 {
					r.pid = int(int32(v))
				}
				return nil
			})
		case 5: // criu_notify
			return protobuf.Fields(inner, func(field, v uint64, inner []byte) error {
				switch field {
				case 1:
					r.script = string(inner)
				case 2:
					r.pid = int(int32(v))
				}
				return nil
			})
		case 7:
			r.errno = int32(v)
		case 8: // criu_features
			return protobuf.Fields(inner, func(field, v uint64, _ []byte) error {
				switch field {
				case 1:
					r.features.TrackMemory = v != 0
				case 2:
					r.features.LazyPages = v != 0
				}
				return nil
			})
		case 9:
			r.message = string(inner)
		}
		return nil
	})
	return r, err
}
