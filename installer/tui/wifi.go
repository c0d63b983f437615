package tui

import (
	"fmt"
	"slices"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/hardware"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/installer/preseed"
)

// wireless is one wireless network, chosen from those in reach or by its name.
var wireless = way{id: "wifi",
	on: func(st *state) bool { return !st.offline() && st.draft.any(link+".wifi") },
	take: func(st *state) {
		st.draft.set(link+".name", "wifi")
		st.draft.set(link+".wifi.security", string(preseed.WiFiWPA2))
	},
	fits: func(st *state) bool {
		key, known := preseed.Lookup("network.links[].wifi")
		return known && key.Built && slices.ContainsFunc(st.Inventory.NICs, func(n hardware.NIC) bool { return n.Type == string(preseed.Wireless) })
	},
	rows: wifiRows,
}

// heard keeps what a scan found. One that failed says nothing of what is in reach.
func (st *state) heard(networks []probe.Network, err error) {
	st.networks, st.scanning, st.scanned = networks, false, err == nil
}

func wifiRows(st *state) []row {
	const wifi = link + ".wifi"
	var rows []row
	if st.Scan != nil {
		rows = append(rows, row{kind: heading, text: st.t("wifi.reach")})
		for _, n := range st.networks {
			r := row{kind: option, id: "reach=" + string(n.Security) + "=" + n.SSID, text: fmt.Sprintf("%s, %s, %s", n.SSID, st.t("wifi."+string(n.Security)), signal(st, n.Signal)), on: st.draft.one(wifi+".ssid") == n.SSID,
				do: func(st *state) action {
					st.draft.set(wifi+".ssid", n.SSID)
					st.security(n.Security)
					st.draft.drop(wifi + ".hidden")
					return stay
				}}
			rows = append(rows, r)
		}
		if st.scanned && !st.scanning && len(st.networks) == 0 {
			rows = append(rows, row{kind: finding, light: installer.Yellow, text: st.t("wifi.nothing")})
		}
		label := st.t("wifi.scan")
		if st.scanning {
			label = st.t("wifi.scanning")
		}
		rows = append(rows, row{kind: button, id: "scan", text: label, do: func(st *state) action {
			if st.scanning {
				return stay
			}
			return scanNetworks
		}})
	}
	rows = append(rows, keyed(st, wifi+".ssid", st.t("wifi.name")),
		row{kind: check, id: wifi + ".hidden", text: st.t("wifi.hidden"), on: st.draft.one(wifi+".hidden") == "true", do: func(st *state) action {
			flip(st, wifi+".hidden")
			return stay
		}})
	for _, s := range []preseed.WiFiSecurity{preseed.WiFiWPA2, preseed.WiFiWPA3, preseed.WiFiOpen, preseed.WiFiEnterprise} {
		rows = append(rows, row{kind: option, id: wifi + ".security=" + string(s), text: st.t("wifi." + string(s)), on: st.draft.one(wifi+".security") == string(s), do: func(st *state) action {
			st.security(s)
			return stay
		}})
	}
	switch preseed.WiFiSecurity(st.draft.one(wifi + ".security")) {
	case preseed.WiFiOpen:
	case preseed.WiFiEnterprise:
		rows = append(rows, loginRows(st)...)
	default:
		rows = append(rows, keyed(st, wifi+".psk", st.t("wifi.psk")))
	}
	return append(rows, keyed(st, "network.country", st.t("wifi.country")))
}

// security sets how the wireless network is protected: by one password for all, by a login
// of each box, or by nothing.
func (st *state) security(s preseed.WiFiSecurity) {
	st.draft.set(link+".wifi.security", string(s))
	if s == preseed.WiFiOpen || s == preseed.WiFiEnterprise {
		st.draft.drop(link + ".wifi.psk")
	}
	switch {
	case s != preseed.WiFiEnterprise:
		st.draft.drop(eap)
	case !st.draft.any(eap):
		st.draft.set(eap+".method", string(preseed.EAPPEAP))
	}
}

// eap is where the answers keep the login of an enterprise network.
const eap = link + ".wifi.eap"

// loginRows ask for the login at an enterprise network. Certificates come from the stick:
// nobody types one.
func loginRows(st *state) []row {
	rows := []row{{kind: heading, text: st.t("wifi.eap.method")}}
	method := st.draft.one(eap + ".method")
	for _, m := range []preseed.EAPMethod{preseed.EAPPEAP, preseed.EAPTTLS, preseed.EAPTLS} {
		rows = append(rows, choice(eap+".method="+string(m), st.t("wifi.eap."+string(m)), method == string(m), func(st *state) {
			st.draft.set(eap+".method", string(m))
			not := []string{".certificate", ".private-key"}
			if m == preseed.EAPTLS {
				not = []string{".anonymous-identity", ".password"}
			}
			for _, key := range not {
				st.draft.drop(eap + key)
			}
		}))
	}
	rows = append(rows, keyed(st, eap+".identity", st.t("wifi.eap.identity")))
	if method != string(preseed.EAPTLS) {
		rows = append(rows,
			keyed(st, eap+".anonymous-identity", st.t("wifi.eap.anonymous-identity")),
			keyed(st, eap+".password", st.t("wifi.eap.password")))
	}
	rows = append(rows, keyed(st, eap+".server-name", st.t("wifi.eap.server-name")))
	rows = append(rows, fromFile(st, eap+".ca", st.t("wifi.eap.ca"), false, ".pem", ".crt")...)
	if method == string(preseed.EAPTLS) {
		rows = append(rows, fromFile(st, eap+".certificate", st.t("wifi.eap.certificate"), false, ".pem", ".crt")...)
		rows = append(rows, fromFile(st, eap+".private-key", st.t("wifi.eap.private-key"), false, ".key")...)
	}
	return rows
}

// signal is a word and the number: below -75 dBm a link holds at its lowest rates only.
func signal(st *state, dbm int) string {
	word := st.t("wifi.signal.good")
	switch {
	case dbm < -75:
		word = st.t("wifi.signal.weak")
	case dbm < -65:
		word = st.t("wifi.signal.fair")
	}
	return fmt.Sprintf("%s (%d dBm)", word, dbm)
}
