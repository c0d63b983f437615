package preseed

import (
	_ "embed"
	"errors"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

var (
	//go:embed data/timezones.txt
	timezoneFile string
	//go:embed data/keyboards.txt
	keyboardFile string

	timezones = readList(timezoneFile)
	keyboards = readList(keyboardFile)
)

// readList reads an embedded list: sorted lines, # begins a comment.
func readList(file string) []string {
	var list []string
	for line := range strings.Lines(file) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			list = append(list, line)
		}
	}
	return list
}

// Timezones returns the names of all time zones that node.timezone takes.
func Timezones() []string { return slices.Clone(timezones) }

// Keyboards returns the names of all keyboards that node.keyboard takes.
func Keyboards() []string { return slices.Clone(keyboards) }

// checkTimezone judges node.timezone.
func checkTimezone(value string) *problem {
	if _, found := slices.BinarySearch(timezones, value); found {
		return nil
	}
	remedy := "write a region and a city, such as Europe/Amsterdam"
	city := fold(value[strings.LastIndexByte(value, '/')+1:])
	if near := didYouMean(value, timezones); near != "" {
		remedy = "did you mean " + near + "?"
	} else if i := slices.IndexFunc(timezones, func(zone string) bool {
		return fold(zone[strings.LastIndexByte(zone, '/')+1:]) == city
	}); i >= 0 {
		remedy = "did you mean " + timezones[i] + "?"
	}
	return bad("no time zone is called "+quote(value), remedy)
}

// keyboardNames leads from names used elsewhere (country codes, XKB) to the keymap
// that people there mostly use.
var keyboardNames = map[string]string{
	"gb": "uk", "en": "us", "en-us": "us", "en-gb": "uk", "be": "be-latin1", "br": "br-abnt2", "ch": "sg-latin1",
	"jp": "jp106", "se": "se-latin1", "pt": "pt-latin1", "sk": "sk-qwertz", "cz": "cz-us-qwertz", "hr": "croat",
	"si": "slovene", "lv": "lv-latin4", "is": "is-latin1", "ee": "et", "us-intl": "us-intl.iso15", "tr": "trq",
	"nl-nl": "nl", "de-de": "de", "fr-fr": "fr", "ca": "cf", "dk-dk": "dk", "da": "dk-latin1", "sv": "se-latin1", "ja": "jp106",
}

// checkKeyboard judges node.keyboard.
func checkKeyboard(value string) *problem {
	if _, found := slices.BinarySearch(keyboards, value); found {
		return nil
	}
	remedy := "use the Linux keymap name, such as us, uk, nl, de or fr"
	if known, ok := keyboardNames[strings.ToLower(value)]; ok {
		remedy = "did you mean " + known + "?"
	} else if near := didYouMean(value, keyboards); near != "" {
		remedy = "did you mean " + near + "?"
	}
	return bad("no keyboard is called "+quote(value), remedy)
}

// checkLanguage judges node.language: RFC 5646 form, and subtags that exist.
func checkLanguage(value string) *problem {
	tag, err := language.Parse(value)
	var unknown language.ValueError
	switch {
	case errors.As(err, &unknown):
		return bad("no language has the tag "+quote(value)+" ("+quote(unknown.Subtag())+" is unknown)", "for example nl, en or de-CH")
	case err != nil:
		return bad(quote(value)+" is no language tag", "for example nl, en or de-CH")
	case tag == language.Und:
		return bad(quote(value)+" names no language", "for example nl, en or de-CH")
	case strings.ContainsAny(value, "_."):
		return bad(quote(value)+" is a locale, not a language tag", "write "+tag.String())
	}
	return nil
}

// isCountry tells whether two capitals are a country's code (ISO 3166-1 alpha-2).
func isCountry(code string) bool {
	region, err := language.ParseRegion(code)
	return err == nil && region.IsCountry() && region.String() == code
}
