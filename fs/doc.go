// Package fs shows repositories of the Hub as a FUSE file system.
package fs
