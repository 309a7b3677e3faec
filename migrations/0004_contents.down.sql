DROP TABLE log_contents_position;
DROP TABLE log_contents;
