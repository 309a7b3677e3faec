-- Subscriptions: durable consumers of the log, and what of it they have not done. New tables only: it
-- waits for nobody.

-- Epochs are of one sequence for all partitions of all subscriptions, and ids are never used again: if
-- they began anew with a subscription that is made again, or with other partitions, the owner of before,
-- frozen all the while, could write.
CREATE SEQUENCE subscription_epochs;

-- Processes that deliver. A process leases itself, not its partitions; one that was too late comes back
-- with another id.
CREATE TABLE subscription_members (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app        text        COLLATE "C" NOT NULL,
    -- Who it is, to operators.
    process    text        NOT NULL,
    -- What it can run: a target, or a handler by its name.
    can_run    text[]      COLLATE "C" NOT NULL,
    -- Subscriptions that it leaves to others for a time, whatever it can run.
    aside      bigint[]    NOT NULL DEFAULT '{}',
    -- How far it has read the log: what nothing matches needs no move of a cursor.
    read_to    bigint      NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 100, autovacuum_vacuum_scale_factor = 0);

-- Counts what members have to look at: changes of subscriptions, and wishes of operators. It is raised in
-- the transaction of the change; a sequence would show a number before what it stands for.
CREATE TABLE subscription_changes (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    n        bigint  NOT NULL DEFAULT 0
);
INSERT INTO subscription_changes DEFAULT VALUES;

CREATE TABLE subscriptions (
    id               bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- NULL: it was deleted, and its rows are being removed.
    name             text        COLLATE "C" UNIQUE,
    app              text        COLLATE "C" NOT NULL,
    -- A program declares it at each start: it is not for files to remove.
    declared         boolean     NOT NULL DEFAULT false,
    -- JSON, with what was left out filled in. Text: it is given back as it is.
    definition       text        NOT NULL,
    revision         bigint      NOT NULL DEFAULT 1,
    desired          text        NOT NULL DEFAULT 'running' CHECK (desired IN ('running', 'paused')),
    -- What of can_run a member must have.
    needs            text        COLLATE "C" NOT NULL,
    -- The projection whose changes it delivers: its positions are their numbers. NULL: it delivers the log.
    changes_of       text        COLLATE "C",
    partitions       integer     NOT NULL CHECK (partitions BETWEEN 1 AND 256 AND partitions & (partitions - 1) = 0),
    -- Events at or below it are before its start.
    start_position   bigint      NOT NULL CHECK (start_position >= 0),
    -- Halving: how many partitions it is to have, and the position that all run to first.
    halving_to       integer,
    barrier          bigint,
    -- Why it stopped, until it is resumed. The event is missing if the log itself is the reason.
    stopped_at       timestamptz,
    stopped_position bigint,
    failure          text,
    failure_reason   text,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by       text        NOT NULL,
    updated_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- Of a replay: the subscription whose events come again, what it is as JSON, and the operation that it is. Its definition is
    -- what the other one had.
    replay_of        bigint,
    replay           text,
    operation        uuid
);
CREATE INDEX subscriptions_owner ON subscriptions ((definition::jsonb ->> 'owner'), name);
CREATE INDEX subscriptions_replays ON subscriptions (replay_of) WHERE replay_of IS NOT NULL;

-- A partition is a queue in order of position, of the keys whose hash falls to it. Everything that matches
-- at or below position is delivered, or has a row in subscription_parked; nothing above it has one.
--
-- The row is updated all the time: nothing that changes is indexed.
CREATE TABLE subscription_partitions (
    subscription  bigint  NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    partition     integer NOT NULL CHECK (partition >= 0),
    -- A row of subscription_members; NULL or gone: nobody has it. Only who has the epoch may write.
    member        bigint,
    epoch         bigint  NOT NULL DEFAULT nextval('subscription_epochs'),
    -- The revision of the definition that it delivers by.
    revision      bigint  NOT NULL DEFAULT 1,
    log_id        uuid    NOT NULL,
    incarnation   bigint  NOT NULL,
    position      bigint  NOT NULL CHECK (position >= 0),
    -- While partitions are halved: how far it had read when it stopped reading.
    read_to       bigint,
    -- How many moves its owner has made. A server that crashed may have lost the last, with rows: who goes on behind
    -- them would lose those events.
    moves         bigint  NOT NULL DEFAULT 0,
    -- Since it was made: events that matched at or below position, and those of them that were delivered.
    matched       bigint  NOT NULL DEFAULT 0,
    delivered     bigint  NOT NULL DEFAULT 0,
    last_event_at timestamptz,
    -- Of subscriptions that are pulled: everything that matches at or below filled is acknowledged or has a row, and position
    -- is below the lowest row that is not dead. When rows were last looked at that are due, and all of them.
    filled         bigint,
    swept_at       timestamptz,
    swept_all_at   timestamptz,
    -- When an event was acknowledged last, the key of that one, and when one of another key was.
    acked_at       timestamptz,
    acked_key      text   COLLATE "C",
    acked_other_at timestamptz,
    -- What keeps it from getting on, by the word of its owner.
    trouble       text,
    trouble_at    timestamptz,
    -- What only its owner knows, as JSON.
    report        text,
    reported_at   timestamptz,
    PRIMARY KEY (subscription, partition)
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 100, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);

-- Events that failed, or wait behind one of their key. The payload is in the log.
CREATE TABLE subscription_parked (
    subscription    bigint      NOT NULL,
    position        bigint      NOT NULL,
    -- 0, but for sources that have several entries at a position.
    ordinal         integer     NOT NULL DEFAULT 0,
    partition       integer     NOT NULL,
    key             text        COLLATE "C" NOT NULL,
    -- waiting: for its next attempt; blocked: behind one of its key; ready and leased: of subscriptions that
    -- are pulled; dead: not tried again by itself.
    state           text        NOT NULL CHECK (state IN ('waiting', 'blocked', 'ready', 'leased', 'dead')),
    -- Attempts that were made, and those of them that count against the event.
    attempts        integer     NOT NULL DEFAULT 0,
    charged         integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    -- Of the last failure.
    class           text,
    error           text,
    first_failed_at timestamptz,
    last_failed_at  timestamptz,
    dead_at         timestamptz,
    -- An operator let it be tried again when it was dead.
    redrive         boolean     NOT NULL DEFAULT false,
    -- Of a subscription that is pulled. The caller who has it names token, from leased_at to next_attempt_at.
    pulled          boolean     NOT NULL DEFAULT false,
    token           uuid,
    leased_at       timestamptz,
    -- What an operator wants done with it, for the owner to do, and who wants it: retry, redrive, discard.
    wanted          text,
    wanted_by       text,
    wanted_reason   text,
    PRIMARY KEY (subscription, position, ordinal)
);
CREATE INDEX subscription_parked_partition ON subscription_parked (subscription, partition, position);
-- Whether one is too old, and how many there are.
CREATE INDEX subscription_parked_dead ON subscription_parked (subscription, dead_at) WHERE state = 'dead';
CREATE INDEX subscription_parked_wanted ON subscription_parked (subscription, partition) WHERE wanted IS NOT NULL;
-- Owners of partitions have these in memory; pulled rows are what callers share.
CREATE INDEX subscription_parked_ready ON subscription_parked (subscription, position) WHERE state = 'ready';
CREATE INDEX subscription_parked_key ON subscription_parked (subscription, key, position) WHERE pulled AND state <> 'dead';
CREATE INDEX subscription_parked_dead_key ON subscription_parked (subscription, key) WHERE pulled AND state = 'dead';
CREATE INDEX subscription_parked_due ON subscription_parked (subscription, next_attempt_at) WHERE pulled AND state IN ('waiting', 'leased');
ALTER TABLE subscription_parked SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);

-- Definitions as they were, and from which position on a partition delivers by one.
CREATE TABLE subscription_revisions (
    subscription bigint      NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    revision     bigint      NOT NULL,
    definition   text        NOT NULL,
    made_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    made_by      text        NOT NULL,
    PRIMARY KEY (subscription, revision)
);
CREATE TABLE subscription_revision_starts (
    subscription  bigint  NOT NULL,
    partition     integer NOT NULL,
    revision      bigint  NOT NULL,
    -- The first position that it judged.
    from_position bigint  NOT NULL,
    PRIMARY KEY (subscription, partition, revision),
    FOREIGN KEY (subscription, revision) REFERENCES subscription_revisions ON DELETE CASCADE
);

-- Tries to deliver an event. They happened, whoever has the partition now: they are written without the
-- fence of epochs.
CREATE TABLE subscription_attempts (
    subscription bigint      NOT NULL,
    position     bigint      NOT NULL,
    ordinal      integer     NOT NULL DEFAULT 0,
    attempt      integer     NOT NULL,
    at           timestamptz NOT NULL,
    -- In microseconds.
    took         bigint      NOT NULL,
    -- done, failed, throttled, gone, stop, undecodable.
    outcome      text        NOT NULL,
    -- Whether it counts against the event.
    charged      boolean     NOT NULL,
    class        text,
    status       integer,
    error        text,
    -- The first bytes of what the target answered.
    answer       text,
    -- The headers that were sent, as a JSON object, where the target tells.
    sent         text,
    process      text        NOT NULL
);
CREATE INDEX subscription_attempts_event ON subscription_attempts (subscription, position);
CREATE INDEX subscription_attempts_at ON subscription_attempts USING brin (at);

-- What handlers that remember have done, by message id. A replay to the same target shares what its subscription has.
CREATE TABLE subscription_effects (
    subscription bigint NOT NULL,
    message_id   uuid   NOT NULL,
    PRIMARY KEY (subscription, message_id)
);

-- Events that an operator had left out: those of a range, by a reset that went ahead, or one that it stopped on.
CREATE TABLE subscription_skips (
    subscription  bigint      NOT NULL,
    -- Of so many partitions then; 0 of 0: one event, which stays left out whatever is reset.
    partition     integer     NOT NULL DEFAULT 0,
    partitions    integer     NOT NULL DEFAULT 0,
    from_position bigint      NOT NULL,
    to_position   bigint      NOT NULL CHECK (to_position >= from_position),
    reason        text        NOT NULL,
    actor         text        NOT NULL,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (subscription, partition, partitions, from_position)
);

-- What operators did.
CREATE TABLE subscription_audit (
    subscription bigint      NOT NULL,
    name         text        NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor        text        NOT NULL,
    action       text        NOT NULL,
    detail       text        NOT NULL
);
CREATE INDEX subscription_audit_latest ON subscription_audit (subscription, at);
