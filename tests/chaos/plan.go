package chaos

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Kind is a kind of fault.
type Kind string

// The kinds of faults.
const (
	// Kill ends a process by SIGKILL; it is started again.
	Kill Kind = "kill a process"
	// KillAtPoint is Kill at an instruction of the product, by failpoint: the
	// process is killed and the next one dies of itself.
	KillAtPoint Kind = "kill at a failpoint"
	// Freeze stops a process by SIGSTOP for a while.
	Freeze Kind = "freeze a process"
	// KillBackend ends a server process of PostgreSQL by SIGKILL, at which it
	// drops all connections and recovers.
	KillBackend Kind = "kill a backend"
	// KillPostmaster ends PostgreSQL's main process by SIGKILL; it is started
	// again.
	KillPostmaster Kind = "kill the postmaster"
	// CutBefore breaks a connection before its next COMMIT reaches the server.
	CutBefore Kind = "cut before COMMIT"
	// CutAfter breaks a connection after its next COMMIT, before the answer.
	CutAfter Kind = "cut after COMMIT"
	// HoldCommit breaks a connection at its next COMMIT, which the server gets
	// when nobody waits for it any more.
	HoldCommit Kind = "hold a COMMIT"
	// DelayCommit lets the next COMMIT of a process wait.
	DelayCommit Kind = "delay a COMMIT"
	// CutAll breaks all connections of a process.
	CutAll Kind = "cut all connections"
	// Deafen keeps notifications from a process for a while.
	Deafen Kind = "drop notifications"
	// FillData and FillWAL leave no room on PostgreSQL's disk for a while.
	FillData Kind = "data disk full"
	FillWAL  Kind = "WAL disk full"
	// Rollbacks makes one transaction in twenty that writes events fail, for a
	// while.
	Rollbacks Kind = "roll back 5 %"
	// StepClock sets the clock of the database forwards or backwards.
	StepClock Kind = "step the clock"
	// Leave lets a process that delivers end in good order, and start again after a
	// while: its share moves to the others and back.
	Leave Kind = "leave and join"
	// Pause pauses a subscription for a while.
	Pause Kind = "pause a subscription"
	// Redefine changes the filter, the retries or the partitions of a subscription.
	Redefine Kind = "redefine a subscription"
	// Outage lets the receiver answer nothing but errors for a while.
	Outage Kind = "receiver down"
)

// Fault is one thing to break.
type Fault struct {
	// At is when, from the beginning of the run.
	At   time.Duration `json:"at"`
	Kind Kind          `json:"kind"`
	// Target is the process to break; empty if it is PostgreSQL.
	Target string `json:"target,omitempty"`
	// For is how long it lasts, or by how much a clock is set.
	For time.Duration `json:"for,omitempty"`
	// Point and Hit are of KillAtPoint. Hit is also which of the backends to kill,
	// and what to change.
	Point string `json:"point,omitempty"`
	Hit   int    `json:"hit,omitempty"`
}

func (f Fault) String() string {
	s := fmt.Sprintf("%7.2fs  %-20s %s", f.At.Seconds(), f.Kind, cmp.Or(f.Target, "postgres"))
	if f.Point != "" {
		return fmt.Sprintf("%s  %s@%d", s, f.Point, f.Hit)
	}
	if f.For != 0 {
		s += "  " + f.For.String()
	}
	return s
}

// recipe says how to make faults of a kind.
type recipe struct {
	kind Kind
	// share is how many of a thousand faults are of this kind; there is one at
	// least.
	share int
	// roles are of the processes that it can hit, those that are named twice twice
	// as often; none: PostgreSQL.
	roles []role
	// shortest and longest bound For.
	shortest, longest time.Duration
}

var (
	anyRole = []role{roleServer, roleWriter, roleReader, roleProjector, roleClient, roleDeliverer, roleDeliverer, roleImporter, roleOperator}
	// Writers commit all the time, projections only where they have the lease.
	committing = []role{roleWriter, roleWriter, roleWriter, roleWriter, roleServer, roleProjector, roleDeliverer}
	pointed    = []role{roleServer, roleServer, roleWriter, roleWriter, roleProjector, roleOperator, roleReader}
	listening  = []role{roleServer, roleWriter, roleReader, roleProjector, roleDeliverer}
)

// recipes are the kinds by how much they cost: most faults are of a kind that
// lets the rest of the system go on.
var recipes = []recipe{
	{Kill, 110, anyRole, 0, 0},
	{KillAtPoint, 60, pointed, 0, 0},
	{Freeze, 60, []role{roleServer, roleWriter, roleReader, roleProjector, roleDeliverer, roleDeliverer}, 200 * time.Millisecond, 5 * time.Second},
	{KillBackend, 25, nil, 0, 0},
	{KillPostmaster, 8, nil, 0, 0},
	{CutBefore, 170, committing, 0, 0},
	{CutAfter, 170, committing, 0, 0},
	{HoldCommit, 50, committing, 10 * time.Millisecond, time.Second},
	{DelayCommit, 150, committing, 5 * time.Millisecond, 800 * time.Millisecond},
	{CutAll, 110, listening, 0, 0},
	{Deafen, 50, listening, time.Second, 5 * time.Second},
	{FillData, 5, nil, 500 * time.Millisecond, 2 * time.Second},
	{FillWAL, 5, nil, 500 * time.Millisecond, 2 * time.Second},
	{Rollbacks, 12, nil, time.Second, 3 * time.Second},
	{StepClock, 15, nil, -time.Hour, time.Hour},
	{Leave, 30, []role{roleDeliverer}, 500 * time.Millisecond, 3 * time.Second},
	{Pause, 15, []role{roleSubscription}, 200 * time.Millisecond, 3 * time.Second},
	{Redefine, 40, []role{roleSubscription}, 0, 0},
	{Outage, 10, []role{roleReceiver}, time.Second, 6 * time.Second},
}

// Plan is what a run breaks, in the order of time.
type Plan []Fault

// newPlan makes a plan of about n faults from a seed, for the given processes.
// Only, if there are any, are the kinds to take.
func newPlan(seed uint64, n int, duration time.Duration, processes map[role][]string, only []Kind) Plan {
	rng := rand.New(rand.NewPCG(seed, 0))
	var p Plan
	for _, r := range recipes {
		targets := r.targets(processes)
		if len(only) > 0 && !slices.Contains(only, r.kind) || len(r.roles) > 0 && len(targets) == 0 {
			continue
		}
		for range r.count(n, only) {
			p = append(p, r.fault(rng, duration, targets))
		}
	}
	slices.SortStableFunc(p, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return p
}

func (r recipe) targets(processes map[role][]string) (names []string) {
	for _, role := range r.roles {
		names = append(names, processes[role]...)
	}
	return names
}

// count returns how many of n faults are of the recipe's kind.
func (r recipe) count(n int, only []Kind) int {
	whole := 0
	for _, other := range recipes {
		if len(only) == 0 || slices.Contains(only, other.kind) {
			whole += other.share
		}
	}
	return max(1, (n*r.share+whole/2)/whole)
}

func (r recipe) fault(rng *rand.Rand, duration time.Duration, targets []string) Fault {
	// Begin when the processes run, end before they are to be healed.
	f := Fault{Kind: r.kind, At: duration/50 + time.Duration(rng.Int64N(int64(duration*47/50)))}
	if len(targets) > 0 {
		f.Target = targets[rng.IntN(len(targets))]
	}
	if r.longest > r.shortest {
		f.For = r.shortest + time.Duration(rng.Int64N(int64(r.longest-r.shortest)))
		f.For = f.For.Round(time.Millisecond)
	}
	switch r.kind {
	case KillBackend:
		f.Hit = rng.IntN(maxBackends)
	case Redefine:
		f.Hit = rng.IntN(len(redefinitions))
	case KillAtPoint:
		choice := pointsOf(f.Target)
		p := choice[rng.IntN(len(choice))]
		f.Point, f.Hit = string(p.Point), 1+rng.IntN(p.most)
	}
	return f
}
