// Package crash names the places where a process can die that matter: before
// and after each effect that it has outside of itself (a request to Neutron,
// a link, a firewall rule, a row of Open vSwitch's, a write to a file). What
// lies between two places changes nothing outside, so whoever has been killed
// at each of them has been killed everywhere.
//
// It owns the list of effects, and the switch that kills. In a build without
// the tag crashpoints there is no switch: Before and After are empty, and the
// compiler removes them. With the tag a file tells at which point the process
// ends itself, by SIGKILL, and each point that is passed is written down (see
// killing.go). The tests in test/chaos use it.
package crash

import "strings"

// Effect is something that changes the world outside of the process. Its name
// begins with the room that does it.
type Effect string

// Point is a place where the process may be killed: "before" or "after", and
// the name of an effect.
type Point string

// Before returns the point before the effect.
func (e Effect) Before() Point { return "before " + Point(e) }

// After returns the point after the effect.
func (e Effect) After() Point { return "after " + Point(e) }

// Points returns all points.
func Points() []Point {
	var all []Point
	for _, e := range Effects() {
		all = append(all, e.Before(), e.After())
	}
	return all
}

// Effect returns what the point lies before or after.
func (p Point) Effect() Effect {
	_, e, _ := strings.Cut(string(p), " ")
	return Effect(e)
}
