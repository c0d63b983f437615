// Package radio holds the tests of WiFi: the kernel's simulated radios
// (mac80211_hwsim), hostapd as the access point, and wpa_supplicant with the files
// that stek renders, all of them real, in a guest whose kernel has radios.
//
//	go test -tags guest -count 1 -timeout 60m -v ./test/radio
//
// It must never use a radio of the machine that the tests run on.
package radio
