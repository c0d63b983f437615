package preseed

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/stek-edge/stek/test/golden"
)

const goodFile = "testdata/good.txtar"

// goodFiles returns the good files of the archive: seeds for other tests.
func goodFiles(t testing.TB) *txtar.Archive {
	t.Helper()
	archive, err := txtar.ParseFile(goodFile)
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

// TestReplay checks the replay file of good answers, and that it reads back.
func TestReplay(t *testing.T) {
	archive := goodFiles(t)
	for i := 0; i+1 < len(archive.Files); i += 2 {
		file, want := archive.Files[i], &archive.Files[i+1]
		t.Run(file.Name, func(t *testing.T) {
			answers, err := Parse("good.yaml", file.Data)
			if err != nil {
				t.Fatal(err)
			}
			if faults := Validate(answers); len(faults) > 0 {
				t.Errorf("Validate: %v", faults)
			}
			got := Redacted(answers)
			if golden.Updating() {
				want.Data = got
			} else if string(got) != string(want.Data) {
				t.Errorf("got\n%swant\n%s", got, want.Data)
			}
			visit(reflect.ValueOf(answers).Elem(), "", "", func(key *Key, shown string, at reflect.Value) bool {
				if key.Secret && len(at.String()) > len("generate") && !strings.HasPrefix(at.String(), SecretPrefix) && strings.Contains(string(got), at.String()) {
					t.Errorf("the replay file holds %s", shown)
				}
				return true
			})
			again, err := Parse("replay.yaml", got)
			if err != nil {
				t.Fatalf("reading the replay file: %v", err)
			}
			if !sameAnswers(*again, *answers) {
				t.Errorf("the replay file reads as\n%s\nwant\n%s", Redacted(again), got)
			}
			if composed, err := Compose(Flatten(answers)); err != nil || !reflect.DeepEqual(composed, answers) {
				t.Errorf("taken apart and put together again: %v\n%s", err, Redacted(answers))
			}
			full := Defaults(answers)
			if again, err = Parse("replay.yaml", Redacted(full)); err != nil {
				t.Fatalf("reading the replay file of all answers: %v", err)
			}
			if !sameAnswers(*again, *full) {
				t.Errorf("the replay file of all answers reads as\n%s\nwant\n%s", Redacted(again), Redacted(full))
			}
		})
	}
	if golden.Updating() {
		if err := os.WriteFile(goodFile, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDefaults checks what an almost empty file means.
func TestDefaults(t *testing.T) {
	answers, err := Parse("f", []byte("stek: 1\nencryption: {recovery: {show: true}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	before := *answers
	got := Defaults(answers)
	want := Answers{Version: 1, OnFinish: "reboot",
		Node:       Node{Name: "stek-{serial}", Language: "en", Keyboard: "us", Timezone: "UTC"},
		Boot:       Boot{SecureBoot: "keep"},
		Encryption: Encryption{Unlock: []string{"tpm2"}, Recovery: Recovery{Show: true}},
		K3s:        K3s{Role: "server"}}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("Defaults = %+v, want %+v", *got, want)
	}
	if !reflect.DeepEqual(*answers, before) {
		t.Error("Defaults changed the answers it was given")
	}
	if !reflect.DeepEqual(Defaults(got), got) {
		t.Error("Defaults is not idempotent")
	}
	answers.Boot.SecureBoot = "enrol"
	if keys := Defaults(answers).Boot.MicrosoftKeys; keys == nil || !*keys {
		t.Error("Microsoft's keys are not kept by default when enrolling")
	}
}
