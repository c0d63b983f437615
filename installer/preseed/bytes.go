package preseed

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
)

// Bytes is a size in bytes. In a file it is a whole number of bytes, or a decimal
// number with a unit: kB, MB, GB, TB, PB (powers of 1000, as disks are sold) or
// KiB, MiB, GiB, TiB, PiB (powers of 1024), per IEC 80000-13.
type Bytes uint64

// sizeUnits are tried in this order when a size is printed: the largest that fits.
var sizeUnits = []struct {
	name  string
	bytes uint64
}{
	{"PiB", 1 << 50}, {"PB", 1e15}, {"TiB", 1 << 40}, {"TB", 1e12}, {"GiB", 1 << 30}, {"GB", 1e9},
	{"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3},
}

// errSize says how a size is written.
var errSize = errors.New("a size is a number with a unit, such as 32GB (powers of 1000) or 32GiB (powers of 1024)")

// ParseBytes reads a size such as "32GB", "1.92TB", "32GiB" or "32000000000".
func ParseBytes(text string) (Bytes, error) {
	digits := strings.TrimRight(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
	unit := text[len(digits):]
	if !isDecimal(digits) {
		return 0, errSize
	}
	factor := uint64(1)
	if unit != "" {
		factor = 0
		for _, u := range sizeUnits {
			if u.name == unit {
				factor = u.bytes
			}
		}
		if factor == 0 {
			return 0, unitError(digits, unit)
		}
	}
	// Exact arithmetic: 1.92TB has no exact float64.
	size, ok := new(big.Rat).SetString(digits)
	if !ok {
		return 0, errSize
	}
	size.Mul(size, new(big.Rat).SetInt(new(big.Int).SetUint64(factor)))
	if !size.IsInt() {
		return 0, errors.New("a size is a whole number of bytes")
	}
	if !size.Num().IsUint64() {
		return 0, errors.New("this size is larger than any disk (the limit is 2^64 bytes)")
	}
	return Bytes(size.Num().Uint64()), nil
}

// isDecimal reports whether s is digits with at most one inner point, and short
// enough to be a size at all.
func isDecimal(s string) bool {
	if len(s) > 32 {
		return false
	}
	whole, fraction, point := strings.Cut(s, ".")
	if whole == "" || point && fraction == "" {
		return false
	}
	return strings.Trim(whole+fraction, "0123456789") == ""
}

// unitError explains a unit that is not known, above all the ambiguous 32G.
func unitError(digits, unit string) error {
	short := strings.ToUpper(unit)
	for _, u := range sizeUnits {
		name := strings.ToUpper(u.name)
		if name == short {
			return fmt.Errorf("unknown unit, did you mean %s%s?", digits, u.name)
		}
		if name[:1] == short && strings.HasSuffix(name, "IB") {
			return fmt.Errorf("unknown unit, did you mean %s%sB (powers of 1000) or %s%s (powers of 1024)?",
				digits, strings.Replace(u.name[:1], "K", "k", 1), digits, u.name)
		}
	}
	return errSize
}

// String writes the size so that ParseBytes reads the same number back.
func (b Bytes) String() string {
	for _, u := range sizeUnits {
		if b != 0 && uint64(b)%u.bytes == 0 {
			return strconv.FormatUint(uint64(b)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatUint(uint64(b), 10)
}

// MarshalText writes the size with its unit.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (b *Bytes) UnmarshalText(text []byte) error {
	size, err := ParseBytes(string(text))
	if err != nil {
		return fmt.Errorf("reading a size: %w", err)
	}
	*b = size
	return nil
}
