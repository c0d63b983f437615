// Package preseed reads and judges the answer file: the one YAML file in which a
// fleet engineer writes down, at a desk, everything the installer would otherwise
// ask beside the box.
//
// A mistake in that file costs a drive to a greenhouse, so Parse is strict. It
// knows every key by name, refuses the rest, checks values by their meaning (a
// time zone must exist, a password hash must be a hash) and returns every fault of
// the file at once, each with its line and column and what to do about it:
//
//	answers, err := preseed.Parse("box.yaml", data)
//	if err != nil {
//		fmt.Println(err) // box.yaml:3:9: node.name ... one line for each fault
//		return err
//	}
//	answers = preseed.Defaults(answers)
//
// Parse is for a file of one machine. A file for several, with secrets beside it, is
// read with Read; File.For takes one machine's answers out of it, and File.Resolve puts
// the secrets in.
//
// Everything said about a key (its type, default, allowed words, example, whether
// this version has built it) stands once, in the table behind Keys. The decoder,
// Explain, Schema, Defaults and Redacted all read that table, so they cannot
// disagree. A screen uses the same rules through CheckValue and Validate. What the
// format has and this version does not carry out stands in one list, notBuilt: Parse
// takes it, and an installation refuses it.
//
// The package never guesses, never ignores a key, and never prints a secret:
// values of type Secret stay out of logs, errors, JSON, YAML and the replay file.
// It touches no disk, no network and no clock. The file is foreign input: it may
// be broken or hostile, and then the answer is a fault, never a panic and never a
// long wait.
package preseed
