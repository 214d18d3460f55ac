//go:build !linux || !amd64

package interp

import "errors"

func allocLow(int) ([]byte, uint64, error) { return nil, 0, errors.ErrUnsupported }
