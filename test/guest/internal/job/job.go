// Package job is what the host and the agent in the guest say to each other: one Job in
// the initramfs, then Messages, one JSON object on each line of the second serial port.
//
// Output goes as base64 inside them, so that neither a terminal's line discipline nor a
// kernel message can change it. The package must hold nothing that needs a device.
package job

import (
	"encoding/json"
	"fmt"
	"time"
)

// Places in the initramfs.
const (
	JobPath     = "/stek-test/job.json"
	ProgramPath = "/stek-test/program"
)

// Port is the guest's device for messages.
const Port = "/dev/ttyS1"

// Job is what the agent shall run.
type Job struct {
	Program string   `json:"program"`
	Args    []string `json:"args,omitempty"`
	Env     []string `json:"env,omitempty"`
	Dir     string   `json:"dir"`
	Stdin   []byte   `json:"stdin,omitempty"`
}

// Encode gives the job for the initramfs.
func (j Job) Encode() ([]byte, error) {
	text, err := json.Marshal(j)
	if err != nil {
		return nil, fmt.Errorf("encoding the guest's job: %w", err)
	}
	return text, nil
}

// Message is one piece of news from the agent.
type Message struct {
	Started bool          `json:"started,omitempty"` // the program runs from now on
	Stdout  []byte        `json:"stdout,omitempty"`
	Stderr  []byte        `json:"stderr,omitempty"`
	Exit    *int          `json:"exit,omitempty"`    // the program has ended; last message
	Run     time.Duration `json:"run,omitempty"`     // with Exit: how long it ran
	Failure string        `json:"failure,omitempty"` // the agent cannot run it; last message
}

// DecodeMessage reads one line.
func DecodeMessage(line string) (Message, error) {
	var m Message
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		return m, fmt.Errorf("reading a message of the guest's agent: %w", err)
	}
	return m, nil
}
