// Package e2e holds the tests that start the built binary as a user would and talk to it with real clients. It holds
// nothing else. Clients that are not installed are skipped, and the skip says which and how to get them.
package e2e
