// Package blobcache keeps the Hub's blobs on local disk, by content hash, whole
// or in part, and fetches what is missing.
package blobcache
