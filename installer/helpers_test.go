package installer

import (
	"testing"
	"time"

	"github.com/stek-edge/stek/installer/disk"
	"github.com/stek-edge/stek/installer/preseed"
)

// answers reads an answer file and fills in its defaults.
func answers(t testing.TB, text string) *preseed.Answers {
	t.Helper()
	a, err := preseed.Parse("answers.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return preseed.Defaults(a)
}

const smallest = "stek: 1\nencryption: {unlock: [tpm2], recovery: {show: true}}\n"

// image is an image as the builder makes it.
func image() Image {
	return Image{
		Version: "0.1.0", K3s: "v1.34.1+k3s1 (release)", K3sSource: "release",
		RootHash:  "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
		RootBytes: 600 << 20, HashOffset: 590 << 20, Signed: true, KeysToEnrol: true,
	}
}

func testIDs() disk.IDs {
	return disk.IDs{
		Disk: "11111111-1111-4111-8111-111111111111", ESP: "22222222-2222-4222-8222-222222222222",
		RootB: "33333333-3333-4333-8333-333333333333", State: "44444444-4444-4444-8444-444444444444",
	}
}

// clock ticks a second at each look.
func clock() func() time.Time {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}
