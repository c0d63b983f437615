package console

import (
	"fmt"
	"strings"

	"github.com/skip2/go-qrcode"
)

// quietZone is the light margin of a code, in modules. The standard asks for four (ISO/IEC
// 18004, 9.1); cameras take two, and with four a recovery key is too tall for 24 lines.
const quietZone = 2

// QR draws a text as a QR code, two modules in each sign. Light is what is drawn, for
// terminals with a dark background: the signs are those that the fonts of the Linux
// console have.
func QR(text string) (string, error) {
	// Little is lost on a screen, so the code is made as small as it can be.
	q, err := qrcode.New(text, qrcode.Low)
	if err != nil {
		return "", fmt.Errorf("drawing a QR code: %w", err)
	}
	q.DisableBorder = true
	dark := q.Bitmap()
	size := len(dark) + 2*quietZone
	light := func(x, y int) bool {
		x, y = x-quietZone, y-quietZone
		return y < 0 || x < 0 || y >= len(dark) || x >= len(dark) || !dark[y][x]
	}
	var b strings.Builder
	for y := 0; y < size; y += 2 {
		for x := range size {
			switch above, below := light(x, y), y+1 < size && light(x, y+1); {
			case above && below:
				b.WriteString("█")
			case above:
				b.WriteString("▀")
			case below:
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
