//go:build tools

// Package tools names the programs that are built here, so that go.mod and go.sum cover them.
package tools

import (
	_ "oras.land/oras/cmd/oras"
)
