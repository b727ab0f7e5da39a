package testkit

import "context"

// NeutronServer is a `kuryr neutron` that runs on a machine by itself.
type NeutronServer struct {
	Address string // host:port, on the machine
	machine *Machine
	binary  string
	state   string
	proc    *process
}

// StartNeutron starts binary as a Neutron on the machine.
func StartNeutron(ctx context.Context, m *Machine, binary string) (*NeutronServer, error) {
	s := NeutronAt(m, binary, m.Path("neutron"))
	return s, s.Start(ctx)
}

// NeutronAt is a server with its state in a folder, to be started.
func NeutronAt(m *Machine, binary, state string) *NeutronServer {
	return &NeutronServer{Address: neutronListen, machine: m, binary: binary, state: state}
}

// Start starts the server, again after Stop or Kill, with its earlier state.
func (s *NeutronServer) Start(ctx context.Context) error {
	cmd := s.machine.Command(context.WithoutCancel(ctx), s.binary,
		"neutron", "--listen", s.Address, "--host", s.machine.Name, "--state-dir", s.state)
	p, err := start(cmd, s.machine.Path("neutron.log"))
	if err != nil {
		return err
	}
	s.proc = p
	api := NewNeutron(s.machine, s.Address)
	return p.waitFor(kuryrReady, func() error {
		_, err := api.Networks(ctx)
		return err
	})
}

// PID returns the server's process ID.
func (s *NeutronServer) PID() int { return s.proc.cmd.Process.Pid }

// Stop ends the server as an operator does.
func (s *NeutronServer) Stop() error { return s.proc.stop(kuryrStops) }

// Kill ends the server with SIGKILL.
func (s *NeutronServer) Kill() { s.proc.kill() }
