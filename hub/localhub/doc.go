// Package localhub is a Hub on local disk: an http.Handler that speaks the
// Hugging Face Hub's API over repositories that are real git object stores.
//
// It doesn't import package hub: the two are separate readings of one protocol,
// and the official Python client, as a third, keeps both honest.
package localhub
