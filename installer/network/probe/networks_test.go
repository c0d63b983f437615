//go:build linux

package probe

import (
	"slices"
	"testing"

	"github.com/mdlayher/wifi"

	"github.com/stek-edge/stek/installer/preseed"
)

// TestNetworksOf: the strongest first, each name once, and the protection that is offered.
func TestNetworksOf(t *testing.T) {
	with := func(ssid string, signal int32, suites ...wifi.RSNAKM) *wifi.BSS {
		return &wifi.BSS{SSID: ssid, Signal: signal, RSN: wifi.RSNInfo{AKMs: suites}}
	}
	got := networksOf([]*wifi.BSS{
		with("Kas 7", -8100, wifi.RSNAkmPSK), with("", -3000, wifi.RSNAkmPSK), with("guests", -6000),
		with("Kas 7", -4200, wifi.RSNAkmPSK, wifi.RSNAkmSAE), with("office", -7000, wifi.RSNAkm8021X), with("new", -5000, wifi.RSNAkmSAE),
	})
	want := []Network{{"Kas 7", -42, preseed.WiFiWPA2}, {"new", -50, preseed.WiFiWPA3}, {"guests", -60, preseed.WiFiOpen}, {"office", -70, preseed.WiFiEnterprise}}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}
