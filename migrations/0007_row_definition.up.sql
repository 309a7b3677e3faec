-- The definition of a generation's rows without its indexes, which may change while the rows stay. NULL: a
-- program made it that knows of no such column; one that does fills it in. A column without a default is
-- added without a look at the rows.
ALTER TABLE projection_generations ADD COLUMN row_definition text;
