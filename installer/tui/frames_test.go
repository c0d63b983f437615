package tui

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/stek-edge/stek/installer"
	"github.com/stek-edge/stek/installer/network/probe"
	"github.com/stek-edge/stek/test/golden"
)

func TestFrames(t *testing.T) {
	sizes := []struct{ width, height int }{{80, 24}, {120, 40}}
	for _, l := range languages {
		for _, size := range sizes {
			for _, signs := range []string{"unicode", "ascii"} {
				name := fmt.Sprintf("%s-%dx%d-%s", l.tag, size.width, size.height, signs)
				t.Run(name, func(t *testing.T) {
					s := session(t, "raid-server")
					s.Values["node.language"] = []string{l.tag}
					a := newApp(t.Context(), s, look{ascii: signs == "ascii", mono: true})
					a.Update(tea.WindowSizeMsg{Width: size.width, Height: size.height})
					var pages strings.Builder
					show := func() {
						frame := plain(a)
						for _, line := range a.lines() {
							if n := ansi.StringWidth(line); n > size.width {
								t.Errorf("a line of %d signs is cut: %s", n, line)
							}
						}
						if n := strings.Count(frame, "\n"); n != size.height {
							t.Errorf("%d lines on page %s, not %d", n, a.page().id, size.height)
						}
						fmt.Fprintf(&pages, "%s\n%s", strings.Repeat("=", size.width), frame)
					}
					for _, p := range a.st.screens {
						show()
						switch p.id {
						case "disk":
							choose(t, a, "SAMSUNG")
							show()
						case "encryption":
							choose(t, a, a.st.t("pin"))
							typeInto(t, a, "new.tpm2", "12345678")
							show()
							typeInto(t, a, "again.tpm2", "12345678")
							show()
						case "network":
							choose(t, a, a.st.t("network.cable"))
							typeInto(t, a, link+".addresses", "192.168.7.20/24, 192.168.7.300")
							show()
							typeInto(t, a, link+".addresses", "192.168.7.20/24")
							typeInto(t, a, link+".gateway", "192.168.8.1")
							show()
							typeInto(t, a, link+".gateway", "192.168.7.1")
							a.Update(cardsMsg{{Name: "eno1", MAC: "3c:ec:ef:00:00:01", On: true, Carrier: true, Addresses: []netip.Prefix{netip.MustParsePrefix("192.168.7.113/24")}},
								{Name: "eno2", MAC: "3c:ec:ef:00:00:02", On: true}})
							a.st.tested = a.st.draft.changed
							a.Update(verdictMsg{Stage: probe.Carrier, Of: "cable", Outcome: probe.Passed, Saw: "carrier on eno1, 1000 Mbit/s"})
							a.Update(verdictMsg{Stage: probe.Gateway, Of: "cable", Outcome: probe.Failed, Saw: "192.168.7.1 does not answer", Do: "check the address of the gateway"})
							press(t, a, "pgdown")
							show()
						}
						if p.id != "review" {
							ahead(t, a)
						}
					}
					press(t, a, "pgdown")
					show()
					a.do(save)
					show()
					a.st.notice = ""
					a.st.start(mustPlan(t, a))
					a.over(nothing)
					show()
					a.Update(endMsg{report: "stek/reports/S1", err: &installer.Refusal{Status: installer.StatusFailed, Message: "could not copy the root file system: writing at byte 4096: input/output error", Remedy: "the disk is failing: replace it"}})
					show()
					a.Update(endMsg{})
					show()
					press(t, a, "f1")
					show()
					press(t, a, "esc", "ctrl+c")
					show()
					// A machine whose firmware waits for keys has one page more.
					s = session(t, "mini-pc")
					s.Values["node.language"] = []string{l.tag}
					at, page := newApp(t.Context(), s, look{ascii: signs == "ascii", mono: true}), a
					at.Update(tea.WindowSizeMsg{Width: size.width, Height: size.height})
					at.open(at.st.at("boot"))
					choose(t, at, at.st.t("boot.enrol"))
					*page = *at
					show()
					golden.Check(t, filepath.Join("frames", name+".txt"), pages.String())
				})
			}
		}
	}
}
