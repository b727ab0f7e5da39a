package testkit

import "context"

// NeutronServer is a `kuryr neutron` that runs on a machine by itself.
type NeutronServer struct {
	Address string // host:port, on the machine
	machine *Machine
	binary  string
	state   string
	flags   []string // more of them
	proc    *process
}

// StartNeutron starts binary as a Neutron on the machine.
func StartNeutron(ctx context.Context, m *Machine, binary string) (*NeutronServer, error) {
	s := NeutronAt(m, binary, m.Path("neutron"))
	return s, s.Start(ctx)
}

// StartTLSNeutron is StartNeutron with a Keystone, for the users in a file, both
// of which are served over TLS.
func StartTLSNeutron(ctx context.Context, m *Machine, binary, users, cert, key string) (*NeutronServer, error) {
	s := NeutronAt(m, binary, m.Path("neutron"))
	s.flags = []string{"--keystone", users, "--tls-cert", cert, "--tls-key", key}
	return s, s.Start(ctx)
}

// NeutronAt is a server with its state in a folder, to be started.
func NeutronAt(m *Machine, binary, state string) *NeutronServer {
	return &NeutronServer{Address: neutronListen, machine: m, binary: binary, state: state}
}

// Start starts the server, again after Stop or Kill, with its earlier state.
func (s *NeutronServer) Start(ctx context.Context) error {
	args := append([]string{"neutron", "--listen", s.Address, "--host", s.machine.Name, "--state-dir", s.state}, s.flags...)
	cmd := s.machine.Command(context.WithoutCancel(ctx), s.binary, args...)
	p, err := start(cmd, s.machine.Path("neutron.log"))
	if err != nil {
		return err
	}
	s.proc = p
	return p.waitFor(kuryrReady, func() error { return s.answers(ctx) })
}

// answers returns nil once the server does; one with a door, once it lets
// connect to it.
func (s *NeutronServer) answers(ctx context.Context) error {
	if len(s.flags) == 0 {
		_, err := NewNeutron(s.machine, s.Address).Networks(ctx)
		return err
	}
	c, err := s.machine.Dial(ctx, "tcp", s.Address)
	if err != nil {
		return err
	}
	return c.Close()
}

// PID returns the server's process ID.
func (s *NeutronServer) PID() int { return s.proc.cmd.Process.Pid }

// Stop ends the server as an operator does.
func (s *NeutronServer) Stop() error { return s.proc.stop(kuryrStops) }

// Kill ends the server with SIGKILL.
func (s *NeutronServer) Kill() { s.proc.kill() }
