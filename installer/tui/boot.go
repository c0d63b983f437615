package tui

import "github.com/stek-edge/stek/installer/preseed"

// canEnrol tells whether Secure Boot is a question at all: the firmware waits for keys (its
// setup mode), and the image has some. Elsewhere the page about the machine says how it is.
func canEnrol(st *state) bool { return st.Inventory.Firmware.SetupMode && st.Image.KeysToEnrol }

// boot asks whether the firmware is to start only what the office has signed.
func boot(st *state) []row {
	const path = "boot.secure-boot"
	enrol := word(st, path, "enrol", st.t("boot.enrol"))
	enrol.note = st.t("boot.enrol.note")
	keep := word(st, path, "keep", st.t("boot.keep"))
	keep.note = st.t("boot.keep.note")
	keep.do = func(st *state) action {
		st.draft.drop("boot") // whose keys are kept is asked only with enrol
		return stay
	}
	rows := []row{{kind: paragraph, text: st.t("boot.text")}, keep, enrol}
	if st.draft.one(path) == "enrol" {
		if key, known := preseed.Lookup("boot.microsoft-keys"); known && key.Built {
			rows = append(rows, row{kind: check, id: "boot.microsoft-keys", text: st.t("boot.microsoft"), note: st.t("boot.microsoft.note"), on: st.draft.one("boot.microsoft-keys") != "false", do: func(st *state) action {
				if st.draft.one("boot.microsoft-keys") != "false" {
					st.draft.set("boot.microsoft-keys", "false")
				} else {
					st.draft.set("boot.microsoft-keys")
				}
				return stay
			}})
		}
	}
	return st.placed([]string{"boot"}, rows, st.goOn())
}
