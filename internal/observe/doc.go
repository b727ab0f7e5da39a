// Package observe sets up what tells an operator how Kuryr fares: today the
// log, and the names of its attributes. It knows no other room and keeps no
// state; a logger is made once, in cli, and handed down.
package observe
