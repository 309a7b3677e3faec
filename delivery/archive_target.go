package delivery

import (
	"net/url"
	"time"
)

// ArchiveTarget keeps events in files of a directory, see package archive: those of an attempt are a file. So batches
// are large by default: 10,000 events, 8 MiB, or what came in a minute. A filter is required, for whoever keeps events elsewhere
// should say which.
type ArchiveTarget struct {
	// URL is where: file:///directory, below the directory for archives of the process that delivers. Another subscription must have
	// another. Required.
	URL string `json:"url"`
	// Retention is for how long events are kept, from 1 h to 100 years, counted from when they were recorded: a file goes when all
	// its events are older. Required.
	Retention Duration `json:"retention"`
}

func (c *checker) archive(at string, t *ArchiveTarget) {
	u, err := url.Parse(t.URL)
	switch {
	case t.URL == "":
		c.wrong(at+"url", "must be there: where the files are, such as file:///var/lib/recount/archive/orders")
	case err != nil || u.Scheme != "file" || u.Opaque != "" || u.Host != "" || u.Path == "" || u.RawQuery != "" || u.Fragment != "":
		c.wrong(at+"url", "must be file:///directory")
	}
	c.text(at+"url", t.URL, maxValue)
	if t.Retention == 0 {
		c.wrong(at+"retention", `must be there: for how long events are kept, such as "8760h"`)
		return
	}
	c.duration(at+"retention", &t.Retention, 0, time.Hour, 100*year)
}

// archived fills in what of a definition is different with an archive, and checks it.
func (c *checker) archived(d *Definition) {
	if d.Target.Archive == nil {
		return
	}
	d.Target.Archive = new(*d.Target.Archive)
	if d.Batch == (Batch{}) {
		d.Batch = Batch{MaxEvents: 10_000, MaxBytes: 8 << 20, Wait: Duration(time.Minute)}
	}
	if d.MaxInFlight == 0 {
		d.MaxInFlight = 1 // the files of a partition follow each other
	}
	if len(d.Filter) == 0 || string(d.Filter) == "null" {
		c.wrong("/filter", `must say which events the archive keeps; {"type":[{"exists":true}]} is all of them`)
	}
	if d.Source.Changes != nil {
		c.wrong("/source", "must be the log: an archive has events by their positions there")
	}
}
