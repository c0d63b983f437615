package tui

import (
	"image"
	"image/color"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"github.com/stek-edge/stek/installer/console"
	"github.com/stek-edge/stek/installer/vault"
)

// What is drawn is read by a camera's decoder, and fits the smallest screen.
func TestCode(t *testing.T) {
	key := vault.NewRecoveryKey()
	drawn, err := console.QR(key.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(drawn, "\n")
	if len(lines) > leastHeight-4 || len([]rune(lines[0])) > leastWidth-2 {
		t.Errorf("the code takes %d lines of %d signs", len(lines), len([]rune(lines[0])))
	}
	// A photograph of it: eight points for each module, on a dark screen.
	const scale, margin = 8, 40
	picture := image.NewGray(image.Rect(0, 0, len([]rune(lines[0]))*scale+2*margin, len(lines)*2*scale+2*margin))
	for y, line := range lines {
		for x, sign := range []rune(line) {
			for half, lit := range []bool{sign == '█' || sign == '▀', sign == '█' || sign == '▄'} {
				for i := range scale * scale {
					if lit {
						picture.SetGray(margin+x*scale+i%scale, margin+(2*y+half)*scale+i/scale, color.Gray{Y: 255})
					}
				}
			}
		}
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(picture)
	if err != nil {
		t.Fatal(err)
	}
	read, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	if err != nil || read.GetText() != key.Reveal() {
		t.Errorf("a camera reads %v, %v", read, err)
	}
}
