package app

import (
	"io/fs"
	"net/netip"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/webhook"
)

// Roles are the parts of a service that a process can run.
const (
	// RoleAPI is the routes. A process without it has those for its health alone.
	RoleAPI = "api"
	// RoleProjections is what keeps the read models and snapshots.
	RoleProjections = "projections"
	// RoleDelivery is what sends events to the targets of subscriptions.
	RoleDelivery = "delivery"
)

// Roles returns all roles.
func Roles() []string { return []string{RoleAPI, RoleProjections, RoleDelivery} }

// Options say where and how a Service runs. Only DSN must be set.
type Options struct {
	// DSN is the address of the database, which was migrated. Required.
	DSN string
	// Schema has the log. Default: that of the App.
	Schema string
	// MaxConns is how many connections the pool may have, at least projections.MinConnections and
	// delivery.MinConnections with the roles for them; the log has up to three beyond. Default: pool_max_conns
	// of DSN, else 20.
	MaxConns int32
	// Roles are what Start starts. Default: all.
	Roles []string
	// Only are the names of the modules whose routes, projections and handlers are here. Default: all.
	Only []string
	// Logger gets what happens. Default: none. Slog makes one of a *slog.Logger.
	Logger zerolog.Logger
	// SnapshotEvery is that of CommandsConfig.
	SnapshotEvery map[string]int
	// BuildOnCommand, IgnoreTypes and DropUnusedAfter are those of projections.Config.
	BuildOnCommand  bool
	IgnoreTypes     []string
	DropUnusedAfter time.Duration
	// ReceiptTTL is that of pgstore.Config.
	ReceiptTTL time.Duration
	// AllowTargets are networks that subscriptions may send requests to although they are not public, such as
	// 127.0.0.0/8. Default: none.
	AllowTargets []netip.Prefix
	// MailServer is where mails are handed in, by handlers and for subscriptions that name no server: see mail.ParseServer. Default:
	// none.
	MailServer *delivery.MailServer
	// ArchiveDir is the directory below which subscriptions may keep archives. Default: nowhere.
	ArchiveDir string
	// Templates are files with templates of mails, instead of those of the modules. Default: none.
	Templates fs.FS
	// WebhookKey is what the secrets of webhooks are derived from, the same in all processes. Default: webhooks must bring
	// their own.
	WebhookKey *webhook.MasterKey
	// Accept lets others forward events to this log, by POST /v1/accept: see delivery.RecountTarget. Default: nobody, and there is no
	// such route.
	Accept []delivery.Grant
	// RequireTokens lets nobody use the routes without a token of Service.Tokens, but those that anybody may use: see httpapi.Access. It is
	// not for an App with an Actor. Default: as Actor says; without one anybody may use them.
	RequireTokens bool
	// RateLimit is how many requests a second each principal may send to this process, and at once, where RequireTokens is set: 429 beyond. Default: any
	// number.
	RateLimit int
	// Host is that of httpapi.Config.
	Host func(string) bool
	// AdminHosts are names by which operators may call a loopback address for them, besides localhost.
	AdminHosts []string
	// Now is the clock that sagas wait by. Default: time.Now.
	Now func() time.Time
	// AdoptLog joins a log that belongs to an App of another name.
	AdoptLog bool
}

func (o Options) has(role string) bool { return slices.Contains(o.Roles, role) }
