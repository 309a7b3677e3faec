package telemetry

import "github.com/prometheus/client_golang/prometheus"

var (
	// seconds are of what takes from a fraction of a millisecond to half a minute.
	seconds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	events  = prometheus.ExponentialBuckets(1, 4, 7) // to 4096
)

var (
	httpRequests = counter("http_requests_total",
		"Requests that were answered, by the class of the status: 2xx to 5xx.", "route", "method", "status")
	httpSeconds = histogram("http_request_seconds",
		"From the header of a request to the end of its answer; reads may wait for their read model.", seconds, "route", "method")
	refusedTotal = counter("access_refused_total",
		"Requests that were refused for who sent them, by why: missing (no token), malformed, unknown, expired, revoked; role or scope (of a token that does not permit it).", "reason")

	commandsTotal = counter("commands_total",
		"Commands that were run, by what became of them: accepted, unchanged (nothing to do), rejected (by a rule), replayed (run before), conflict, failed. The category of one over several streams is its name.",
		"category", "outcome")
	commandSeconds = histogram("command_seconds",
		"From taking a command to its answer, the wait for its turn on the stream included.", seconds, "category")
	commandRetries = counter("command_retries_total",
		"Commands decided again because others wrote to their stream meanwhile.", "category")

	logPosition = gauge("log_position",
		"Last position of the log that this process knows of.")
	appendsTotal = counter("appends_total",
		"Appends by what became of them: appended (or found to be there already), or the class of the error: conflict, known (key seen before), reused (id or key of something else), deleted, invalid, too_large, overloaded, unknown, unavailable, read_only, appends_disabled (database not adopted), closed, cancelled or timeout (the caller gave up), corrupt, internal.",
		"outcome")
	appendSeconds = histogram("append_seconds",
		"What callers waited for an append, the queue included.", seconds)
	batchesTotal = counter("append_batches_total",
		"Transactions of the appender, by way (fast: one round trip; long) and result: written, failed. One that is refused for its content is then tried in parts.", "way", "result")
	batchSeconds = histogram("append_batch_seconds",
		"From the queue to the answers of a batch.", seconds, "way")
	batchEvents = histogram("append_batch_events",
		"Events that a batch has written.", events)
	lostCommits = counter("append_lost_commits_total",
		"Batches whose commit was lost on the way, by what came of it: landed (it had happened), repeated (it had not), unknown (nobody could tell in time).",
		"outcome")
	queuedAppends = gauge("append_queue_appends", "Appends that wait for the appender.")
	queuedBytes   = gauge("append_queue_bytes", "Bytes of the appends that wait for the appender.")
	subscriptions = gauge("subscriptions", "Subscriptions to the log in this process; a projection that runs here has one.")
	receipts      = counter("receipts_written_total", "Idempotency keys that were kept with their answer.")
	receiptsGone  = counter("receipts_purged_total", "Idempotency keys that this process removed because of their age.")

	databaseUp = gauge("database_up", "1 if the database answered while the metrics were read. If it is 0 most of what follows is missing.")

	projectionKnown    = gauge("projection_position_known", "1 if the position is known; 0: no table of rows for this program's version yet, or the database does not answer.", "projection")
	projectionPosition = gauge("projection_position", "Position of the log that the rows are at.", "projection")
	projectionLag      = gauge("projection_lag_events", "Positions of the log that are left to go through.", "projection")
	projectionSeconds  = gauge("projection_lag_seconds", "Age of the oldest event not yet applied; 0 if there is none.", "projection")
	projectionState    = gauge("projection_state",
		"1 for the state that it is in, as the command projections show says it.", "projection", "state")
	projectionGeneration = gauge("projection_generation", "Number of the table of rows that this program reads.", "projection")
	projectionRunning    = gauge("projection_runs_here", "1 if this process applies its events.", "projection")
	projectionEvents     = counter("projection_events_total", "Events that this process has applied to it.", "projection")
	projectionBatches    = counter("projection_batches_total", "Transactions in which this process has applied them.", "projection")
	projectionErrors     = counter("projection_errors_total",
		"Errors in this process, by kind: interruption (it tries again), stop (an operator has to look), stand_aside (a newer program has to read the event).", "projection", "kind")

	subscriptionState = gauge("subscription_state",
		"1 for the state that it is in, as the command subscriptions show says it.", "subscription", "state")
	subscriptionLag     = gauge("subscription_lag_events", "Positions of the log that the furthest behind of its partitions has before it; missing if that is not known.", "subscription")
	subscriptionSeconds = gauge("subscription_lag_seconds", "Age of the first event at those positions; 0 if there is none; missing if that is not known.", "subscription")
	subscriptionParked  = gauge("subscription_parked", "Events that failed and will be tried again, or wait behind one of their key.", "subscription")
	subscriptionDead    = gauge("subscription_dead", "Dead letters: events that are not tried again by themselves.", "subscription")
	subscriptionDeadAge = gauge("subscription_dead_oldest_seconds", "Since when there are dead letters; 0 if there are none.", "subscription")
	subscriptionUnowned = gauge("subscription_partitions_unowned", "Partitions that no process delivers for.", "subscription")

	replayRunning = gauge("subscription_replay_running", "1 while a replay of the subscription runs; 0 if the last has ended and left dead letters; missing else.", "subscription")
	replayLag     = gauge("subscription_replay_lag_events", "Positions of the log that it has before it.", "subscription")
	replayWaits   = gauge("subscription_replay_waiting", "1 if something keeps it from getting on, as the command subscriptions replays says it.", "subscription")
	replayDead    = gauge("subscription_replay_dead", "Its dead letters.", "subscription")

	windowsOpen    = gauge("windows_open", "Windows of the subscription that are open, counted in 2 % of the time at most; missing if that takes longer than a second.", "subscription")
	windowsClosed  = counter("window_closings_total", "Closings of its windows, since they are counted from the beginning.", "subscription")
	windowsLate    = counter("window_late_events_total", "Events that came for a window which had closed.", "subscription")
	windowsDropped = counter("window_dropped_events_total", "Those of them that were counted in no window.", "subscription")

	subscriptionAttempts = counter("subscription_attempts_total",
		"Attempts that this process has made to deliver, by what became of them: done, partial (some of a batch), transient, permanent, throttled, gone, stop, undecodable, postponed (the event waits by itself).",
		"subscription", "outcome")
	subscriptionDelivered = counter("subscription_delivered_events_total", "Events that this process has delivered.", "subscription")
	subscriptionBusy      = counter("subscription_attempt_seconds_total", "How long its attempts took, in all.", "subscription")
	deliverySeconds       = histogram("delivery_seconds", "From when an event was recorded to the end of the attempt that delivered it, in this process.", seconds)
	subscriptionHere      = gauge("subscription_partitions", "Partitions that this process has.", "subscription")
	subscriptionInFlight  = gauge("subscription_in_flight", "Attempts that this process is making.", "subscription")
	subscriptionStuck     = gauge("subscription_stuck", "Those of them that should have ended.", "subscription")
	subscriptionBreaker   = gauge("subscription_breaker_open", "1 if this process takes the target for down, and only probes it.", "subscription")
	subscriptionThrottled = gauge("subscription_throttled", "1 if the target said that it takes nothing for a time.", "subscription")
	deliveryMember        = gauge("delivery_member", "1 if this process is one of those that deliver.")
	deliveryMoves         = counter("delivery_moves_total", "Statements that moved cursors, by result: written, failed.", "result")
	deliveryLastMove      = gauge("delivery_last_move_seconds", "How long the last one took.")

	operationState = gauge("operation_state",
		"1 for the state of the last operation of the kind: running, done, failed, cancelled.", "projection", "operation", "state")
	operationEvents      = gauge("operation_events", "Events that the last operation has read, over all its passes.", "projection", "operation")
	operationPosition    = gauge("operation_position", "Position of the log that its present pass is at.", "projection", "operation")
	operationTarget      = gauge("operation_target_position", "Position of the log where that pass ends.", "projection", "operation")
	operationRate        = gauge("operation_events_per_second", "How fast it has read events.", "projection", "operation")
	operationLeft        = gauge("operation_left_seconds", "Estimate of what its present phase still takes; missing if there is none.", "projection", "operation")
	operationBuckets     = gauge("operation_buckets", "Parts that the keys of a rebuild are divided into.", "projection", "operation")
	operationBucketsDone = gauge("operation_buckets_done", "Those of them whose rows are in the table.", "projection", "operation")
	operationBegun       = gauge("operation_begun_timestamp_seconds", "When it was asked for, in Unix time.", "projection", "operation")
	operationFinished    = gauge("operation_finished_timestamp_seconds", "When it ended, in Unix time; missing while it runs.", "projection", "operation")

	poolConnections = gauge("pool_connections", "Connections of the pool, by state: acquired, idle, constructing.", "state")
	poolMax         = gauge("pool_max_connections", "As many as the pool makes at most.")
	poolNew         = counter("pool_new_connections_total", "Connections that the pool has made.")
	poolAcquires    = counter("pool_acquires_total", "Times that a connection was taken from the pool.")
	poolWaits       = counter("pool_waits_total", "Those of them that had to wait for one to be free or made.")
	poolWaitSeconds = counter("pool_wait_seconds_total", "How long they waited, in all.")
	poolCanceled    = counter("pool_canceled_acquires_total", "Waits for a connection that were given up.")

	buildInfo = gauge("build_info", "1, for the labels.", "version", "revision", "go")
)

// section is a part of the catalogue.
type section struct {
	title   string
	metrics []*metric
}

// catalogue has every metric of this package once.
var catalogue = []section{
	{"HTTP", []*metric{httpRequests, httpSeconds, refusedTotal}},
	{"Commands", []*metric{commandsTotal, commandSeconds, commandRetries}},
	{"The log", []*metric{logPosition, appendsTotal, appendSeconds, batchesTotal, batchSeconds, batchEvents, lostCommits,
		queuedAppends, queuedBytes, subscriptions, receipts, receiptsGone}},
	{"Projections", []*metric{databaseUp, projectionKnown, projectionPosition, projectionLag, projectionSeconds, projectionState,
		projectionGeneration, projectionRunning, projectionEvents, projectionBatches, projectionErrors}},
	{"Subscriptions", []*metric{subscriptionState, subscriptionLag, subscriptionSeconds, subscriptionParked, subscriptionDead, subscriptionDeadAge,
		subscriptionUnowned, replayRunning, replayLag, replayWaits, replayDead, windowsOpen, windowsClosed, windowsLate, windowsDropped, subscriptionAttempts, subscriptionDelivered, subscriptionBusy, deliverySeconds, subscriptionHere,
		subscriptionInFlight, subscriptionStuck, subscriptionBreaker, subscriptionThrottled, deliveryMember, deliveryMoves, deliveryLastMove}},
	{"Operations", []*metric{operationState, operationEvents, operationPosition, operationTarget, operationRate, operationLeft,
		operationBuckets, operationBucketsDone, operationBegun, operationFinished}},
	{"Connections", []*metric{poolConnections, poolMax, poolNew, poolAcquires, poolWaits, poolWaitSeconds, poolCanceled}},
	{"The program", []*metric{buildInfo}},
}
