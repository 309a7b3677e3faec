package inbox

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
)

// parse reads a mail.
func parse(source []byte) (Mail, error) {
	read, err := mail.ReadMessage(bytes.NewReader(source))
	if err != nil {
		return Mail{}, err
	}
	head, _, _ := bytes.Cut(source, []byte("\r\n\r\n"))
	m := Mail{MessageID: read.Header.Get("Message-ID"), Header: head}
	m.From, m.To, m.Subject = decoded(read.Header.Get("From")), decoded(read.Header.Get("To")), decoded(read.Header.Get("Subject"))
	if date, err := read.Header.Date(); err == nil {
		m.Date = date.UTC()
	}
	return m, m.read(read.Header, read.Body)
}

// decoded returns the text of a header, whose characters that are not ASCII are in encoded words.
func decoded(value string) string {
	text, err := new(mime.WordDecoder).DecodeHeader(value)
	if err != nil {
		return value
	}
	return text
}

// header is that of a mail, or of a part of one.
type header interface{ Get(name string) string }

// read reads a body, or a part of one: of texts the first of each kind. What else there is nobody sees.
func (m *Mail) read(h header, body io.Reader) error {
	kind, parameters, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") {
		return m.readParts(multipart.NewReader(body, parameters["boundary"]))
	}
	switch strings.ToLower(h.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	content, err := io.ReadAll(body)
	text := strings.ToValidUTF8(strings.ReplaceAll(string(content), "\r\n", "\n"), "\uFFFD")
	switch {
	case kind == "text/html" && m.HTML == "":
		m.HTML = text
	case kind == "text/plain" && m.Text == "":
		m.Text = text
	}
	return err
}

func (m *Mail) readParts(parts *multipart.Reader) error {
	for {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := m.read(part.Header, part); err != nil {
			return err
		}
	}
}
