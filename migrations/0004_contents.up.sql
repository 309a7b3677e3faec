-- What there is in the log, up to a position: pgstore.Store.Contents brings it forward when it is
-- asked. New tables only, and nothing is counted here: it waits for nobody, and no append for it.

CREATE TABLE log_contents (
    category_id    integer NOT NULL,
    type_id        integer NOT NULL,
    first_position bigint  NOT NULL,
    events         bigint  NOT NULL,
    PRIMARY KEY (category_id, type_id)
);

CREATE TABLE log_contents_position (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    position bigint  NOT NULL DEFAULT 0
);
INSERT INTO log_contents_position DEFAULT VALUES;
