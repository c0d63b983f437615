package keep

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stek-edge/stek/installer/network"
	"github.com/stek-edge/stek/installer/network/probe"
)

var (
	old   = Config{Files: []network.File{{Path: "/etc/systemd/network/a.network", Mode: 0o644, Data: []byte("old")}, {Path: "/etc/old", Mode: 0o600, Data: []byte("x")}}}
	fresh = Config{Files: []network.File{{Path: "/etc/systemd/network/a.network", Mode: 0o644, Data: []byte("new")}, {Path: "/etc/units/a", Link: "/usr/lib/a"}}}
)

func TestNext(t *testing.T) {
	trial := State{Kept: old, Trial: &Trial{Config: fresh}}
	timed := State{Kept: old, Trial: &Trial{Config: fresh, Within: time.Minute}}
	good := State{Kept: old, Trial: &Trial{Config: fresh, Within: time.Minute, Good: true}}
	for _, c := range []struct {
		name   string
		from   State
		event  Event
		action Action
		kept   Config
		trial  bool
	}{
		{"asked", State{Kept: old}, Event{Kind: Asked, Config: fresh}, PutTrial, old, true},
		{"asked twice", trial, Event{Kind: Asked, Config: old}, Nothing, old, true},
		{"passed", trial, Event{Kind: Passed}, KeepTrials, fresh, false},
		{"passed, to be confirmed", timed, Event{Kind: Passed}, AwaitWord, old, true},
		{"failed", trial, Event{Kind: Failed}, PutKept, old, false},
		{"confirmed", good, Event{Kind: Confirmed, ID: fresh.ID()}, KeepTrials, fresh, false},
		{"another confirmed", good, Event{Kind: Confirmed, ID: old.ID()}, Nothing, old, true},
		{"confirmed before the test was passed", timed, Event{Kind: Confirmed, ID: fresh.ID()}, Nothing, old, true},
		{"nobody confirmed", good, Event{Kind: Expired}, PutKept, old, false},
		{"restart while testing", trial, Event{Kind: Restarted}, PutKept, old, false},
		{"restart while waiting", good, Event{Kind: Restarted}, PutKept, old, false},
		{"restart of a box at rest", State{Kept: old}, Event{Kind: Restarted}, Nothing, old, false},
		{"late confirmation", State{Kept: old}, Event{Kind: Confirmed, ID: fresh.ID()}, Nothing, old, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			next, action := c.from.Next(c.event)
			if action != c.action || next.Kept.ID() != c.kept.ID() || (next.Trial != nil) != c.trial {
				t.Errorf("got action %d, %+v", action, next)
			}
		})
	}
}

func report(verdicts ...probe.Verdict) probe.Report { return probe.Report{Verdicts: verdicts} }

func ok(s probe.Stage, of string) probe.Verdict {
	return probe.Verdict{Stage: s, Of: of, Outcome: probe.Passed}
}

func bad(s probe.Stage, of string, f probe.Fault) probe.Verdict {
	return probe.Verdict{Stage: s, Of: of, Outcome: probe.Failed, Fault: f}
}

func none(s probe.Stage) probe.Verdict { return probe.Verdict{Stage: s, Outcome: probe.Skipped} }

func TestWorse(t *testing.T) {
	works := report(ok(probe.Carrier, "up"), ok(probe.Address, "up"), ok(probe.DNS, ""), ok(probe.TunnelStage, ""), ok(probe.Reach, "hub"))
	// What a box with a cable and nothing else sees, and what after adds to it.
	plain := report(ok(probe.Carrier, "up"), ok(probe.Address, "up"), ok(probe.DNS, ""), none(probe.Clock), none(probe.ProxyStage), none(probe.TunnelStage), none(probe.Reach))
	with := func(v probe.Verdict) probe.Report {
		return report(ok(probe.Carrier, "up"), ok(probe.Address, "up"), ok(probe.DNS, ""), v)
	}
	whole := with(ok(probe.MTU, ""))
	nameless := report(ok(probe.Carrier, "up"), ok(probe.Address, "up"), bad(probe.DNS, "", probe.FaultDNSSilent), none(probe.ProxyStage), none(probe.TunnelStage))
	noLink := report(bad(probe.Carrier, "up", probe.FaultNoCarrier), none(probe.ProxyStage))
	refused := with(bad(probe.ProxyStage, "", probe.FaultProxyLogin))
	unplugged := report(bad(probe.Carrier, "up", probe.FaultNoCarrier))
	for _, c := range []struct {
		name   string
		before *probe.Report
		after  probe.Report
		worse  []probe.Stage
	}{
		{"as good", &works, works, nil},
		{"no address any more", &works, report(ok(probe.Carrier, "up"), bad(probe.Address, "up", probe.FaultDHCPSilent)), []probe.Stage{probe.Address}},
		{"broken as before", &unplugged, unplugged, nil},
		{"broken otherwise, and further", &unplugged, report(ok(probe.Carrier, "up"), bad(probe.Address, "up", probe.FaultDHCPSilent)), nil},
		{"names no longer work", &works, report(ok(probe.Carrier, "up"), ok(probe.Address, "up"), bad(probe.DNS, "", probe.FaultDNSSilent)), []probe.Stage{probe.DNS}},
		{"the hub's certificate expired meanwhile", &works, report(ok(probe.Carrier, "up"), ok(probe.Address, "up"), ok(probe.DNS, ""), bad(probe.Reach, "hub", probe.FaultCertExpired)), nil},
		{"the hub refuses", &works, report(ok(probe.Carrier, "up"), ok(probe.Address, "up"), bad(probe.Reach, "hub", probe.FaultServiceRefuses)), nil},
		{"the tunnel that spoke is silent", &works, report(ok(probe.Carrier, "up"), ok(probe.Address, "up"), bad(probe.TunnelStage, "", probe.FaultTunnelSilent)), []probe.Stage{probe.TunnelStage}},
		{"one of two links fails", &works, report(bad(probe.Carrier, "spare", probe.FaultNoCarrier), ok(probe.Carrier, "up"), ok(probe.Address, "up")), nil},
		{"a proxy is new, and its login is wrong", &plain, refused, []probe.Stage{probe.ProxyStage}},
		{"a proxy is new, and another authority signed it", &plain, with(bad(probe.ProxyStage, "", probe.FaultProxyTLS)), []probe.Stage{probe.ProxyStage}},
		{"a proxy refuses the login as before", &refused, refused, nil},
		{"a proxy refuses the login, and nothing was reached before", &noLink, refused, nil},
		{"a proxy refuses the login, and nobody asked for one before", &works, refused, []probe.Stage{probe.ProxyStage}},
		{"a tunnel is new, and its endpoint's name means nothing", &plain, with(bad(probe.TunnelStage, "", probe.FaultTunnelEndpoint)), []probe.Stage{probe.TunnelStage}},
		{"a tunnel is new, and its endpoint's name means nothing, as no name did before", &nameless, with(bad(probe.TunnelStage, "", probe.FaultTunnelEndpoint)), nil},
		{"a proxy is new and not reached, and no name meant anything before", &nameless, with(bad(probe.ProxyStage, "", probe.FaultProxyUnreachable)), nil},
		{"a tunnel is new, and its other end silent", &plain, with(bad(probe.TunnelStage, "", probe.FaultTunnelSilent)), nil},
		{"a time server is new, and silent", &plain, with(bad(probe.Clock, "", probe.FaultTimeSilent)), nil},
		{"a time server is new, and this clock is wrong", &plain, with(bad(probe.Clock, "", probe.FaultClockOff)), nil},
		{"a hub is new, and large packets vanish on the way to it", &plain, with(bad(probe.MTU, "", probe.FaultBlackHole)), nil},
		{"large packets vanish that went through", &whole, with(bad(probe.MTU, "", probe.FaultBlackHole)), []probe.Stage{probe.MTU}},
		{"a hub is new, and cannot be reached", &plain, with(bad(probe.Reach, "hub", probe.FaultUnreachable)), []probe.Stage{probe.Reach}},
		{"a hub is new, and refuses", &plain, with(bad(probe.Reach, "hub", probe.FaultServiceRefuses)), nil},
		{"the server that answered is out of reach", &works, with(bad(probe.Reach, "hub", probe.FaultUnreachable)), []probe.Stage{probe.Reach}},
		{"the server that answered is silent", &works, with(bad(probe.Reach, "hub", probe.FaultServiceNoAnswer)), []probe.Stage{probe.Reach}},
		{"nothing was tested before, and it works", nil, works, nil},
		{"nothing was tested before, and it does not", nil, unplugged, []probe.Stage{probe.Carrier}},
		{"nothing was tested before, and the hub is down", nil, report(ok(probe.Carrier, "up"), bad(probe.Reach, "hub", probe.FaultServiceError)), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []probe.Stage
			for _, v := range Worse(c.before, c.after) {
				got = append(got, v.Stage)
			}
			if !slices.Equal(got, c.worse) {
				t.Errorf("got %v, want %v", got, c.worse)
			}
		})
	}
}

// TestCuts stops the box at every point at which the disk could have been left, and
// starts it again. Old files must be in place then, or the new ones and kept.
func TestCuts(t *testing.T) {
	errCut := errors.New("the power went")
	for at := 1; ; at++ {
		dir := t.TempDir()
		points := 0
		k := Keeper{Dir: filepath.Join(dir, "journal"), Root: dir}
		point := func() error {
			if points++; points == at {
				return errCut
			}
			return nil
		}
		if err := errors.Join(k.Write(Config{}, old), k.Adopt(old)); err != nil {
			t.Fatal(err)
		}
		dead := false
		k.Reload = func(context.Context, Config, Config) error {
			if dead || point() != nil {
				dead = true
				panic(errCut)
			}
			return nil
		}
		k.Test = func(context.Context, Config) probe.Report {
			if point() != nil {
				panic(errCut)
			}
			if err := k.Confirm(""); err != nil && !strings.Contains(err.Error(), "still being tested") {
				t.Error(err)
			}
			return report(ok(probe.Carrier, "up"))
		}
		cut := func() (cut bool) {
			defer func() { cut = recover() != nil }()
			if _, err := k.Try(t.Context(), fresh, 0); err != nil {
				t.Fatal(err)
			}
			return false
		}()
		if _, err := k.Settle(); err != nil {
			t.Fatal(err)
		}
		s, err := k.Load()
		if err != nil || s.Trial != nil {
			t.Fatalf("%+v, %v", s, err)
		}
		in, err := os.ReadFile(filepath.Join(dir, "etc/systemd/network/a.network"))
		if err != nil || string(in) != string(s.Kept.Files[0].Data) {
			t.Errorf("cut %d: kept is %s, in place is %s (%v)", at, s.Kept.ID(), in, err)
		}
		_, link := os.Readlink(filepath.Join(dir, "etc/units/a"))
		_, leftover := os.Stat(filepath.Join(dir, "etc/old"))
		if isNew := s.Kept.ID() == fresh.ID(); (link == nil) != isNew || (leftover == nil) == isNew {
			t.Errorf("cut %d: files of both configurations are there", at)
		}
		if !cut {
			if at < 2 || s.Kept.ID() != fresh.ID() {
				t.Errorf("the trial was not kept in the end")
			}
			return
		}
	}
}

func TestJournal(t *testing.T) {
	dir := t.TempDir()
	k := Keeper{Dir: dir, Root: dir}
	secret := Config{Files: []network.File{{Path: "/etc/credstore/key", Mode: 0o600, Data: []byte("secret")}}}
	if err := errors.Join(k.Write(Config{}, secret), k.Adopt(secret), k.Ask(fresh, 0)); err != nil {
		t.Fatal(err)
	}
	if err := k.Ask(fresh, 0); !errors.Is(err, ErrBusy) {
		t.Errorf("a second trial: %v", err)
	}
	for path, mode := range map[string]os.FileMode{"network.json": 0o600, "etc/credstore/key": 0o600, "etc/credstore": 0o700} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if err := k.Confirm("other"); err == nil {
		t.Error("another configuration was confirmed")
	}
	if err := os.WriteFile(filepath.Join(dir, "network.json"), []byte(`{"kept":{"files":[{"Path":7}]}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Load(); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("got %v", err)
	}
	if err := k.Write(Config{}, Config{Files: []network.File{{Path: "/etc/../usr/x"}}}); err == nil {
		t.Error("a file outside /etc was written")
	}
}
