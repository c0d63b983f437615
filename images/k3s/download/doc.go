// Package download gets one large file over HTTP, whole and proven, over a line
// that breaks.
//
// What has arrived is kept beside the target (name ending in .part) and the next
// attempt, or the next run, asks for the rest only. The file gets its name after
// its SHA-256 has been found right, so a file under that name is always whole.
//
// The package must never hand over a file whose digest is not the one that was
// named, and never try for ever.
//
//	f := download.Fetch{URL: url, SHA256: sum, Path: path, Client: http.DefaultClient}
//	err := f.Do(ctx)
//	var e *download.Error
//	if errors.As(err, &e) { fmt.Println(e.Remedy) }
package download
