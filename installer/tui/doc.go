// Package tui is the technician's screen: it asks the questions of the answer file on a
// terminal, shows what would happen to which disk, and shows the work while it is done.
//
// Each screen is a list of rows, made anew from what was answered so far: texts, inputs
// whose rules are those of the answer file, options, and buttons. One file is one screen,
// and a further screen is one more file and one more line in screens.go. The full-screen
// mode ([Run]) and the line mode ([RunLines]) draw the same rows, so that a screen reader
// or a dumb terminal is asked the same questions.
//
// It must never decide anything: what a value may be is said by package preseed, what will
// happen by package installer, and their words are shown, in the person's language. It must
// never touch a disk, start a step that erases something before a person has typed the end of
// the disk's serial number (of its name, where it has none), lose an answer to a mistake or a
// failure, or show or save a secret.
//
//	err := tui.Run(ctx, tui.Session{Inventory: inv, Image: image, IDs: ids}, tui.Options{Input: os.Stdin, Output: os.Stdout, Env: os.Environ()})
//
// The words are in messages, one file for each language. What the engine says (a fault, a
// refusal, the plan, a verdict, a step) it says in English, which reports and the command line
// are in as well; the phrase books below messages say it to a person in another language, and
// state.say is the one way there. A sentence that is new in the engine fails the tests until
// every book has it. The sources that are read for that are listed in phrases_test.go, and are
// those whose sentences a page shows. Beside them the books have what tools, TPM and firmware
// mostly answer; the rest of that is English on every page: the insides of headers and tokens
// (package vault), of Secure Boot variables and UKIs (package firmware), the syntax of answer
// files, and what packages onbox and k3s say before and after the screens. So is the answer
// of a program or a server, whatever it is.
package tui
