package preseed

import (
	"encoding/json"
	"fmt"
	"io"
)

// What holds a secret behind a pointer prints itself. With a verb that does not fit
// (%s of a section), fmt follows a pointer without asking what it points at, and so
// passes by the methods of Secret; unexported fields it never asks. JSON asks each.

// Format prints the answers without their secrets, as JSON, whatever the verb.
func (a Answers) Format(f fmt.State, _ rune) { printJSON(f, a) }

// Format prints the link without its secrets, as JSON, whatever the verb.
func (l Link) Format(f fmt.State, _ rune) { printJSON(f, l) }

// Format prints the network without its secrets, as JSON, whatever the verb.
func (n Network) Format(f fmt.State, _ rune) { printJSON(f, n) }

// Format prints the wireless network without its secrets, as JSON, whatever the verb.
func (w WiFi) Format(f fmt.State, _ rune) { printJSON(f, w) }

// Format prints the login without its secrets, as JSON, whatever the verb.
func (e EAP) Format(f fmt.State, _ rune) { printJSON(f, e) }

// Format prints the tunnel without its secrets, as JSON, whatever the verb.
func (v VPN) Format(f fmt.State, _ rune) { printJSON(f, v) }

// Format prints the tunnel without its secrets, as JSON, whatever the verb.
func (w WireGuard) Format(f fmt.State, _ rune) { printJSON(f, w) }

// Format prints the name of the file.
func (f File) Format(out fmt.State, _ rune) { io.WriteString(out, f.name) }

func printJSON(f fmt.State, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		text = []byte(redacted) // cannot happen: texts, numbers, lists and sections only
	}
	f.Write(text)
}
