package neutron

// WorkFor makes c a client of that project.
func (c *Client) WorkFor(project string) { c.project = func() string { return project } }
