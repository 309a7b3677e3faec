package chaos

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
)

// lastRead returns the last position that a reader has recorded in its history,
// 0 if there is none.
func lastRead(path string) int64 {
	file, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return 0
	}
	// A batch of a reader with a filter can be long.
	const most = 1 << 20
	from := max(0, info.Size()-most)
	text, err := io.ReadAll(io.NewSectionReader(file, from, info.Size()-from))
	if err != nil {
		return 0
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	text = bytes.TrimSuffix(text, []byte("\n"))
	var line struct {
		Batch struct {
			Next int64 `json:"next"`
		} `json:"batch"`
	}
	if json.Unmarshal(text[bytes.LastIndexByte(text, '\n')+1:], &line) != nil {
		return 0
	}
	return line.Batch.Next - 1
}
