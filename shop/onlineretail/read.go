package onlineretail

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/money"
)

// Read reads the file, gzipped or not, to its end. Texts are kept as they are,
// stray spaces included. If lines are wrong the error is a *FileError, if it
// cannot be read as CSV or decompressed a *DamagedError, and there is no book.
func Read(r io.Reader) (*Book, error) {
	plain, err := decompress(r)
	if err != nil {
		return nil, err
	}
	p := &parser{
		csv:   csv.NewReader(plain),
		index: make(map[invoiceKey]int),
		texts: make(map[string]string),
	}
	p.csv.ReuseRecord = true
	p.csv.FieldsPerRecord = -1 // a line of another length is one to report
	if err := p.readHeader(); err != nil {
		return nil, err
	}
	if err := p.readLines(); err != nil {
		return nil, err
	}
	if p.checkInvoices(); len(p.faults) > 0 {
		return nil, &FileError{Lines: p.faults}
	}
	return &p.book, nil
}

// decompress looks at the first bytes to tell what the file is.
func decompress(r io.Reader) (*bufio.Reader, error) {
	b := bufio.NewReader(r)
	if begins(b, "\x1f\x8b") {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, unread(err)
		}
		b = bufio.NewReader(z)
	}
	if begins(b, "PK\x03\x04") {
		return nil, &FormatError{"the file is a spreadsheet or a zip archive",
			"unpack it, and save the sheet as CSV in UTF-8, with dates such as 2010-12-01 08:26:00"}
	}
	const byteOrderMark = "\ufeff"
	if begins(b, byteOrderMark) {
		_, _ = b.Discard(len(byteOrderMark)) // Peek has read it
	}
	return b, nil
}

// unread says why the file could not be read. An error of the reader that it
// comes from is neither damage.
func unread(err error) error {
	noCSV := errors.As(err, new(*csv.ParseError))
	corrupt := errors.As(err, new(flate.CorruptInputError))
	compressed := corrupt || errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF)
	if noCSV || compressed {
		return &DamagedError{Compressed: compressed, Err: err}
	}
	return fmt.Errorf("read the file: %w", err)
}

// begins leaves an error of the reader to whoever reads on.
func begins(b *bufio.Reader, magic string) bool {
	head, _ := b.Peek(len(magic))
	return bytes.Equal(head, []byte(magic))
}

// parser is a file that is being read.
type parser struct {
	csv *csv.Reader
	// width is how many columns the file has; columns says which is which.
	width   int
	columns [numColumns]int
	book    Book
	// index is where in the book an invoice is.
	index map[invoiceKey]int
	// texts has each text once: a record's fields share memory, so that keeping
	// one of them would keep the record.
	texts  map[string]string
	faults []*LineError
}

type invoiceKey struct {
	kind   Kind
	number string
}

func (p *parser) readHeader() error {
	header, err := p.csv.Read()
	if errors.Is(err, io.EOF) {
		return badHeader("the file is empty")
	}
	if err != nil {
		return unread(err)
	}
	p.width = len(header)
	for i, name := range columnNames {
		p.columns[i] = slices.Index(header, name)
		if p.columns[i] < 0 {
			return badHeader("the file has no column " + name)
		}
		if slices.Contains(header[p.columns[i]+1:], name) {
			return badHeader("the file has the column " + name + " twice")
		}
	}
	return nil
}

func badHeader(reason string) error {
	return &FormatError{reason, "its first line must name these columns once: " + strings.Join(columnNames[:], ", ")}
}

func (p *parser) readLines() error {
	for len(p.faults) < maxLineErrors {
		record, err := p.csv.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return unread(err)
		}
		line, _ := p.csv.FieldPos(0)
		row, fault := p.parse(record)
		if fault != nil {
			fault.Line = line
			p.faults = append(p.faults, fault)
			continue
		}
		p.add(row, line)
	}
	return nil
}

// add puts the line into its invoice, which it may begin.
func (p *parser) add(r row, line int) {
	key := invoiceKey{r.kind, r.number}
	i, found := p.index[key]
	if !found {
		key.number = p.text(r.number)
		i = len(p.book.Invoices)
		p.index[key] = i
		p.book.Invoices = append(p.book.Invoices, Invoice{
			Kind:       r.kind,
			Number:     key.number,
			At:         r.at,
			CustomerID: p.customer(r.customerID),
			Country:    p.text(r.country),
			FileLine:   line,
		})
	}
	r.line.SKU, r.line.Description = p.text(r.line.SKU), p.text(r.line.Description)
	v := &p.book.Invoices[i]
	v.Lines = append(v.Lines, r.line)
}

func (p *parser) text(s string) string {
	kept, found := p.texts[s]
	if !found {
		kept = strings.Clone(s)
		p.texts[kept] = kept
	}
	return kept
}

func (p *parser) customer(id string) *string {
	if id == "" {
		return nil
	}
	id = p.text(id)
	return &id
}

// checkInvoices checks what no single line shows: how much an invoice has, and
// what the book adds up to.
func (p *parser) checkInvoices() {
	var gross, refunds int64
	for i := range p.book.Invoices {
		v := &p.book.Invoices[i]
		sum := &gross
		if v.Kind == Return {
			sum = &refunds
		}
		total, err := goods.Total(v.Lines)
		if err == nil {
			err = goods.CheckLines(v.Lines)
		}
		if err == nil {
			*sum, err = money.Add(*sum, total)
		}
		if err != nil && len(p.faults) < maxLineErrors {
			p.faults = append(p.faults, &LineError{Line: v.FileLine, Column: columnNames[invoiceNo], Value: v.Number, Reason: invoiceReason(err)})
		}
	}
}

func invoiceReason(err error) string {
	var invalid *goods.InvalidError
	if errors.As(err, &invalid) {
		return invalid.Reason
	}
	return "must leave the sum of the file within bounds: " + err.Error()
}
