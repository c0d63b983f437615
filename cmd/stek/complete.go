package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stek-edge/stek/images/component"
	"github.com/stek-edge/stek/installer/preseed"
	"github.com/stek-edge/stek/installer/vault"
)

// flagValues is what a shell offers for each flag that takes a value. A flag means
// the same wherever it is, so its name is enough. Values that nobody could list, such
// as a digest, offer nothing instead of the files of the folder.
var flagValues = map[string]cobra.CompletionFunc{
	"output": oneOf("text\tfor a person", "json\tfor a program"),
	"arch":   oneOf("amd64"),
	"k3s": oneOf(string(component.Release)+"\tthe project's own binary and images, for production",
		string(component.Module)+"\tbuilt from source, for development and tests"),
	"k3s-version":       anything,
	"k3s-sha256":        anything,
	"k3s-images-sha256": anything,
	"k3s-url":           anything,
	"mirror":            anything,
	"compression":       oneOf("1\tfast", "19\tsmall", "22\tsmallest"),
	"pcrs":              oneOf("4\twhat was started", "7\tSecure Boot keys", "4,7\tboth", "11\tthe unified kernel image"),
	"preseed":           files("yaml", "yml"),
	"preseed-url":       files("url"),
	"machine":           files("json"),
	"file":              files("img", "yaml"),
	"secrets-key":       files(),
	"signed-by":         files("pub"),
	"set":               settings,
	"lock":              files("lock"),
	"key-file":          files(),
	"device":            files(),
	"tpm":               oneOf(tpmDevice+"\tthis machine's TPM", "swtpm:\ta TPM in software, by its socket"),
	"keys":              folders,
	"cache":             folders,
	"dir":               folders,
	"files":             folders,
	"package":           anything,
	"module":            anything,
	"firmware":          anything,
	"ui":                oneOf("screen\tthe whole screen", "line\tone question after another"),
	"confirm-within":    oneOf("2m\ttwo minutes", "10m\tten minutes"),
}

// argumentValues is the same for arguments, by the command's path.
var argumentValues = map[string]cobra.CompletionFunc{
	"stek completion":      first(oneOf(shells...)),
	"stek image inspect":   first(files("img")),
	"stek image customize": first(files("img")),
	"stek preseed check":   files("yaml", "yml"),
	"stek preseed explain": first(answerKeys),
	"stek key remove":      first(keySlots),
	"stek image fetch": func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 1 {
			return nil, cobra.ShellCompDirectiveNoFileComp // a name on the image, not here
		}
		return files()(cmd, args, word)
	},
}

// complete tells cobra of them.
func complete(root *cobra.Command) {
	each(root, func(c *cobra.Command) {
		for name, values := range flagValues {
			if f := c.Flags().Lookup(name); f != nil {
				_ = c.RegisterFlagCompletionFunc(name, values) // fails for a flag that has one
			} else if f := c.PersistentFlags().Lookup(name); f != nil {
				_ = c.RegisterFlagCompletionFunc(name, values)
			}
		}
		switch values, ok := argumentValues[c.CommandPath()]; {
		case ok:
			c.ValidArgsFunction = values
		case c.Runnable() && !c.HasSubCommands():
			c.ValidArgsFunction = anything
		}
	})
}

// each visits a command and all below it.
func each(c *cobra.Command, do func(*cobra.Command)) {
	do(c)
	for _, below := range c.Commands() {
		each(below, do)
	}
}

func oneOf(values ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// files offers files with these endings, or all of them.
func files(endings ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		if len(endings) == 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return endings, cobra.ShellCompDirectiveFilterFileExt
	}
}

func folders(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// anything offers nothing: what is wanted cannot be listed.
func anything(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// first offers values for the first argument alone.
func first(values cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return values(cmd, args, word)
	}
}

func answerKeys(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, key := range preseed.Keys() {
		names = append(names, key.Path)
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}

// settings offers the keys that a new answer file can be given by a flag.
func settings(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, key := range preseed.Keys() {
		if key.Type != preseed.Section && key.Type != preseed.Items && !strings.Contains(key.Path, "[]") {
			names = append(names, key.Path+"=")
		}
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// keySlots reads the slots of the volume that the line names already.
func keySlots(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	device, _ := cmd.Flags().GetString("device")
	header, err := vault.Inspect(device)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var slots []string
	for _, s := range header.Slots {
		slots = append(slots, strconv.Itoa(s.ID)+fmt.Sprintf("\t%s", s.Kind))
	}
	return slots, cobra.ShellCompDirectiveNoFileComp
}
