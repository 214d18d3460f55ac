//go:build !unix

package again

func start() {}
