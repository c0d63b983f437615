package tui

import (
	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/vault"
)

// encryption asks how the disk opens, by what this machine can do.
func encryption(st *state) []row {
	rows := []row{{kind: paragraph, text: st.t("encryption.text")}}
	a, err := st.answers()
	if err != nil {
		a = preseed.Defaults(&preseed.Answers{})
	}
	for _, m := range installer.Abilities(a, st.Inventory) {
		r := row{kind: check, id: "encryption.unlock=" + m.Method, text: m.Method + ": " + st.say(m.Words), on: st.draft.has("encryption.unlock", m.Method), barred: !m.Can,
			do: func(st *state) action {
				st.draft.toggle("encryption.unlock", m.Method)
				if !st.draft.has("encryption.unlock", "tpm2") {
					st.draft.set("encryption.tpm2.pin", "")
				}
				return stay
			}}
		if m.Can {
			r.note = st.t("method." + m.Method)
		}
		rows = append(rows, r)
	}
	if st.draft.has("encryption.unlock", string(vault.KindTPM2)) {
		rows = append(rows, pin(st)...)
	}
	if method := string(vault.KindPassphrase); st.draft.has("encryption.unlock", method) {
		rows = append(rows, newSecret(st, method, vault.MinPassphrase)...)
	}
	rows = append(rows, row{kind: heading, text: st.t("recovery")}, row{kind: paragraph, text: st.t("recovery.text")},
		row{kind: check, id: "encryption.recovery.show", text: st.t("recovery.show"), on: st.draft.one("encryption.recovery.show") == "true", do: func(st *state) action {
			flip(st, "encryption.recovery.show")
			return stay
		}},
		keyed(st, "encryption.recovery.recipient", st.t("recovery.recipient")))
	return st.placed([]string{"encryption"}, rows, st.goOn())
}

// pin asks whether the TPM wants a PIN, and for the PIN.
func pin(st *state) []row {
	on := st.draft.one("encryption.tpm2.pin") != ""
	rows := []row{{kind: check, id: "encryption.tpm2.pin", text: st.t("pin"), note: st.t("pin.note"), on: on, do: func(st *state) action {
		if on {
			st.draft.set("encryption.tpm2.pin", "")
		} else {
			st.draft.set("encryption.tpm2.pin", "ask")
		}
		return stay
	}}}
	if !on {
		return rows
	}
	if st.draft.one("encryption.tpm2.pin") != "ask" {
		return rows // an answer file has it
	}
	return append(rows, newSecret(st, string(vault.KindTPM2), preseed.MinPIN)...)
}

// flip turns a switch of the answer file.
func flip(st *state, path string) {
	if st.draft.one(path) == "true" {
		st.draft.set(path, "false")
	} else {
		st.draft.set(path, "true")
	}
}
