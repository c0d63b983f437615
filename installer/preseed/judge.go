package preseed

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// maxText bounds a single text; the longest real one is an RSA public key.
const maxText = 16 << 10

// judge applies everything the table says about one text of a key. The rule is
// the key's own, or one for a named value.
func (k *Key) judge(own rule, value string) *problem {
	switch k.Type {
	case Switch:
		return nil
	case Number:
		return k.judgeNumber(value)
	}
	// The value of a label may be empty (Kubernetes uses that for plain marks).
	if p := k.judgeText(value); p != nil && !(k.Type == Pairs && value == "") {
		return p
	}
	if strings.HasPrefix(value, SecretPrefix) {
		if k.Secret {
			return checkSecretName(strings.TrimPrefix(value, SecretPrefix))
		}
		return bad("secret:NAME stands for a secret, and this is none", "write the value itself")
	}
	if len(k.Values) > 0 && !slices.Contains(k.Values, value) {
		return k.judgeWord(value)
	}
	if own != nil {
		return own(value)
	}
	return nil
}

// judgeNumber judges a whole number.
func (k *Key) judgeNumber(value string) *problem {
	number, ok := wholeNumber(value)
	switch {
	case !ok:
		return bad("expected a whole number", "write "+k.Name()+": "+k.Example)
	case k.Max > 0 && (number < k.Min || number > k.Max):
		return bad(fmt.Sprintf("%d is not between %d and %d", number, k.Min, k.Max), "for example "+k.Name()+": "+k.Example)
	case k.rule != nil:
		return k.rule(value)
	}
	return nil
}

// checkVersion judges stek itself.
func checkVersion(value string) *problem {
	switch number, _ := wholeNumber(value); {
	case number > FormatVersion:
		return bad(fmt.Sprintf("the file is written for format %d, newer than this version of stek, which reads format %d", number, FormatVersion),
			"install with a newer image")
	case number != FormatVersion:
		return bad("no such format", "write stek: 1")
	}
	return nil
}

// wholeNumber reads digits only: YAML would also take 0x1, 0o1, 1_0 and +1.
func wholeNumber(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && text[0] != '+' && text != "-0"
}

// judgeText is judgeText, but for a text of several lines.
func (k *Key) judgeText(value string) *problem {
	if k.Lines {
		value = strings.Join(strings.Split(strings.TrimRight(value, "\n"), "\n"), " ")
	}
	return judgeText(value)
}

// judgeText holds for every text: printable and not endless.
func judgeText(value string) *problem {
	switch {
	case value == "":
		return bad("the text is empty", "write a value, or remove the line")
	case len(value) > maxText:
		return bad("the text is longer than "+strconv.Itoa(maxText)+" bytes", "is this the right value?")
	case strings.ContainsAny(value, "\n\r\u0085\u2028\u2029"):
		return bad("the text has more than one line", "write it on one line")
	case strings.ContainsFunc(value, unicode.IsControl):
		return bad("the text holds a control character", "remove it")
	case strings.ContainsRune(value, unicode.ReplacementChar):
		return bad("the text holds a character that was damaged on its way (U+FFFD)", "write it again")
	case strings.TrimSpace(value) != value:
		return bad("blanks at the beginning or the end of the text", "remove them")
	}
	return nil
}

// judgeWord explains why a word is not one of the allowed ones.
func (k *Key) judgeWord(value string) *problem {
	if near := didYouMean(value, k.Values); near != "" {
		return bad(quote(value)+" is unknown, expected "+oneOf(k.Values), "did you mean "+near+"?")
	}
	return bad(quote(value)+" is unknown", "use "+oneOf(k.Values))
}

// judgePair judges a name and value of a key of type Pairs.
func (k *Key) judgePair(name, value string) *problem {
	if p := judgeText(name); p != nil {
		return p
	}
	if k.pair == nil {
		return nil
	}
	return k.pair(name, value)
}

// CheckValue judges one value, as a person would write it in the file without
// quotes, by the same rules that Parse uses. It returns nil for a good value, and
// for a key of a type that a single text cannot have. key is a path such as
// "node.name"; for a list it judges one entry.
func CheckValue(key, value string) *Fault {
	k, known := Lookup(key)
	switch {
	case !known:
		return &Fault{Key: key, Kind: FaultUnknown, Message: "unknown key " + quote(key), Remedy: suggestPath(key)}
	case k.Type == Section || k.Type == Items || k.Type == Pairs:
		return nil
	case k.Type == Switch && value != "true" && value != "false":
		return &Fault{Key: key, Kind: FaultType, Message: key + ": expected true or false"}
	}
	if p := k.judge(k.rule, value); p != nil {
		return &Fault{Key: key, Kind: p.kind, Message: key + ": " + p.message, Remedy: p.remedy}
	}
	return nil
}
