// Package fetchtest gives tests guest kernels and programs. Where one cannot be
// had, the test is skipped, or fails where CI is set to true.
package fetchtest

import (
	"os"
	"testing"

	"hotblock/boot/fetch"
)

// Kernel is fetch.Kernel for tests.
func Kernel(t testing.TB, flavour string) string {
	t.Helper()
	p, err := fetch.Kernel(t.Context(), flavour)
	return need(t, p, err)
}

// File is fetch.File for tests.
func File(t testing.TB, pkg, path string) string {
	t.Helper()
	p, err := fetch.File(t.Context(), pkg, path)
	return need(t, p, err)
}

func need(t testing.TB, path string, err error) string {
	t.Helper()
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
	return ""
}
