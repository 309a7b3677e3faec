package chaos

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// fleet is processes, by name, and the proxies that those of them that use the
// database have in front of it.
type fleet struct {
	processes map[string]*process
	gates     map[string]*gate
}

func newFleet() fleet {
	return fleet{processes: make(map[string]*process), gates: make(map[string]*gate)}
}

// ofRole returns the processes of some roles, by name.
func (f *fleet) ofRole(roles ...role) (list []*process) {
	for _, p := range f.processes {
		if slices.Contains(roles, p.role) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *process) int { return cmp.Compare(a.name, b.name) })
	return list
}

// close ends whatever still runs.
func (f *fleet) close() error {
	var errs []error
	for _, p := range f.processes {
		p.stop(time.Second)
		errs = append(errs, p.log.Close())
	}
	for _, g := range f.gates {
		errs = append(errs, g.proxy.Close())
	}
	return errors.Join(errs...)
}
