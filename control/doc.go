// Package control is the control socket: its method table, server and client.
package control
