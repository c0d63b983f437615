package root

// Progress is one report of how far the builder is. Total is 0 when unknown.
type Progress struct {
	Phase   string // "resolve", "download", "bootstrap", "unpack", "assemble", "squash", "verity"
	Message string
	Done    int64 // bytes
	Total   int64 // bytes
}

// Reporter takes progress. A nil Reporter is silent.
type Reporter func(Progress)

func (r Reporter) say(phase, message string) {
	if r != nil {
		r(Progress{Phase: phase, Message: message})
	}
}

func (r Reporter) bytes(phase, message string, done, total int64) {
	if r != nil {
		r(Progress{Phase: phase, Message: message, Done: done, Total: total})
	}
}
