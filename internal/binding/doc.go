// Package binding plugs links into the layer 2 that Neutron prepared for a
// port on this host: one file for each binding:vif_type.
//
// It owns the Linux bridges that it creates (by the alias it gives them) and,
// for every bridge it plugs links into, the rule that lets its frames pass
// Docker's firewall (forward.go). It never creates or deletes a link, never
// deletes a bridge or a rule without Kuryr's mark, and never talks to Neutron.
package binding
