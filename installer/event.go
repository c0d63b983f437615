package installer

import "time"

// Event is one thing that happened while a plan was carried out. Every front end
// renders the same stream; the report on the stick is that stream as JSON lines.
type Event struct {
	Time    time.Time `json:"time"`
	Kind    EventKind `json:"kind"`
	Step    string    `json:"step,omitempty"`    // which step it belongs to
	Message string    `json:"message,omitempty"` // for a person
	Done    uint64    `json:"done,omitempty"`    // bytes
	Total   uint64    `json:"total,omitempty"`   // bytes, 0 when unknown
	Remedy  string    `json:"remedy,omitempty"`  // what to do, with a failure
}

// EventKind tells how an Event is to be shown.
type EventKind string

// The kinds of events, in the order in which a step goes through them.
const (
	StepStarted  EventKind = "started"
	StepProgress EventKind = "progress"
	StepNote     EventKind = "note"
	StepDone     EventKind = "done"
	StepSkipped  EventKind = "skipped" // an earlier run had finished it
	StepFailed   EventKind = "failed"
)
