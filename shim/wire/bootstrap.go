package wire

// Bootstrap is what a containerd from 2.3 on hands a shim that it starts (BootstrapParams).
type Bootstrap struct {
	ID, Namespace string
	TTRPCAddress  string
	Debug         bool
	// SocketDir is where the shim's socket is to be, "" for the usual place.
	SocketDir string
	// Extensions are further values, the runtime's options among them.
	Extensions []Any
}

// Decode reads it.
func (r *Bootstrap) Decode(b []byte) error {
	return fields(b, func(f field) error {
		switch f.number {
		case 1:
			r.ID = f.text()
		case 2:
			r.Namespace = f.text()
		case 3:
			r.Debug = int32(f.value) < 0
		case 5:
			r.TTRPCAddress = f.text()
		case 8:
			return fields(f.bytes, func(f field) error {
				if f.number != 1 {
					return nil
				}
				var a Any
				err := a.decode(f.bytes)
				r.Extensions = append(r.Extensions, a)
				return err
			})
		case 9:
			r.SocketDir = f.text()
		}
		return nil
	})
}

// Bootstrapped is the answer (BootstrapResult): by which version of the task service the shim is to be talked to, and where.
type Bootstrapped struct {
	Version           int
	Address, Protocol string
}

// Encode writes it.
func (r *Bootstrapped) Encode() []byte {
	var m message
	m.number(1, uint64(r.Version))
	m.text(2, r.Address)
	m.text(3, r.Protocol)
	return m
}
