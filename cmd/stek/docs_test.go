package main

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestCommandsExplainThemselves holds every command to what its help must say.
func TestCommandsExplainThemselves(t *testing.T) {
	each(command(), func(c *cobra.Command) {
		t.Run(c.CommandPath(), func(t *testing.T) {
			if c.Short == "" || strings.HasSuffix(c.Short, ".") || len(c.Short) > 80 {
				t.Errorf("the short text is %q; want one phrase without a full stop", c.Short)
			}
			text, _, ok := strings.Cut(c.Long, "Exit status: 0 ")
			if !ok {
				t.Error("the exit statuses are missing")
			}
			if len(text) <= len(c.Short) {
				t.Error("the long text says no more than the short one")
			}
			for line := range strings.Lines(c.Long + "\n" + c.Example) {
				if len(strings.TrimRight(line, "\n")) > 90 {
					t.Errorf("a line is too long for a terminal: %q", line)
				}
			}
			if c.HasSubCommands() {
				return
			}
			if !strings.Contains(c.Example, "  "+strings.Fields(c.CommandPath())[0]) || !strings.Contains(c.Example, c.CommandPath()) {
				t.Errorf("no example shows it: %q", c.Example)
			}
			if c.ValidArgsFunction == nil {
				t.Error("a shell would offer files for arguments of which nothing is known")
			}
		})
	})
}

// TestFlagsHaveValues: a flag that takes a value and is not in the table would offer
// whatever lies in the folder.
func TestFlagsHaveValues(t *testing.T) {
	used := map[string]bool{}
	each(command(), func(c *cobra.Command) {
		check := func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s says nothing of itself", c.CommandPath(), f.Name)
			}
			if f.NoOptDefVal != "" {
				return // a switch
			}
			used[f.Name] = true
			if _, ok := c.GetFlagCompletionFunc(f.Name); !ok {
				t.Errorf("%s --%s has no values to offer", c.CommandPath(), f.Name)
			}
		}
		c.LocalFlags().VisitAll(check)
		c.PersistentFlags().VisitAll(check)
	})
	for name := range flagValues {
		if !used[name] {
			t.Errorf("--%s is in the table and nowhere else", name)
		}
	}
	for path := range argumentValues {
		if c, _, err := command().Find(strings.Fields(path)[1:]); err != nil || c.CommandPath() != path {
			t.Errorf("%s is in the table of arguments and is no command", path)
		}
	}
}

func TestSourceDate(t *testing.T) {
	for text, want := range map[string]time.Time{"": time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), "1700000000": time.Unix(1700000000, 0).UTC(), "soon": {}, "-1": {}, "0": {}} {
		t.Setenv("SOURCE_DATE_EPOCH", text)
		got, err := sourceDate()
		if !got.Equal(want) || (err != nil) != want.IsZero() {
			t.Errorf("%q is %v, error %v", text, got, err)
		}
	}
}
