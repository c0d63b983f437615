package vm

// stripper turns what a terminal would show into plain lines. It takes the stream in
// pieces of any size, since a read may end inside an escape sequence (ECMA-48).
//
// Moving the cursor to another row becomes a line break: OVMF and full-screen programs
// place text that way and never send a newline.
type stripper struct {
	state stripState
	last  byte // last byte given out
}

type stripState int

const (
	plain     stripState = iota
	escape               // after ESC
	charset              // after ESC and an intermediate byte: one more follows
	control              // inside CSI, up to a byte 0x40-0x7e
	text                 // inside OSC, DCS, PM, APC or SOS: up to BEL or ST
	textQuits            // after ESC inside such a text
)

// strip appends the plain form of in to out.
func (s *stripper) strip(out, in []byte) []byte {
	put := func(b byte) {
		if b == '\n' && s.last == '\n' {
			return // empty lines tell nothing, and cursor movements make many
		}
		s.last = b
		out = append(out, b)
	}
	for _, b := range in {
		switch s.state {
		case plain:
			switch {
			case b == 0x1b:
				s.state = escape
			case b == '\n' || b == '\r':
				put('\n')
			case b == '\t' || b >= 0x20 && b != 0x7f:
				put(b)
			}
		case escape:
			switch {
			case b == '[':
				s.state = control
			case b == ']' || b == 'P' || b == '^' || b == '_' || b == 'X':
				s.state = text
			case b >= 0x20 && b <= 0x2f:
				s.state = charset
			case b == 0x1b:
			default:
				s.state = plain
				if b == 'D' || b == 'E' || b == 'M' || b == 'c' { // index, next line, reverse, reset
					put('\n')
				}
			}
		case charset:
			if b < 0x20 || b > 0x2f {
				s.state = plain
			}
		case control:
			switch {
			case b == 0x1b:
				s.state = escape
			case b >= 0x40 && b <= 0x7e:
				s.state = plain
				// CUU, CUD, CNL, CPL, CUP, ED, VPA, HVP: another row.
				switch b {
				case 'A', 'B', 'E', 'F', 'H', 'J', 'd', 'f':
					put('\n')
				}
			}
		case text:
			switch b {
			case 0x07:
				s.state = plain
			case 0x1b:
				s.state = textQuits
			}
		case textQuits:
			s.state = text
			if b == '\\' {
				s.state = plain
			}
		}
	}
	return out
}
