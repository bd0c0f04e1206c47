// Package baddisk is a file system for tests that fails when it is told to, also under files that are open, and works
// again when it is told to: what a real one does whose disk has trouble, without the unmount that a real one needs.
//
// It passes everything through to a directory beside it, as a FUSE file system (Linux only) that the test's own process
// serves. So the test must not touch what is mounted, only what is behind it: a page of a mapped file that its own process has
// to bring may stop that process for good.
//
// It must not know tocsin. Nothing but tests imports it.
package baddisk
