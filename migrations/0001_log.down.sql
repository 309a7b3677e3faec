-- This destroys the log.
DROP VIEW event_log;
DROP FUNCTION try_jsonb(bytea);
DROP TABLE receipts, events, streams, categories, event_types, log_incarnations, log_lock;
