-- The Apps on the log: a program says by name which it is, and has the projections that are of its name.
-- A new table, and a column with a constant default: it waits for nobody for long.
CREATE TABLE apps (
    name      text        COLLATE "C" PRIMARY KEY CHECK (name <> ''),
    -- The App that came first, while the log was nobody's; the others joined on purpose.
    founder   boolean     UNIQUE CHECK (founder),
    joined_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Empty: a program without a name made it, or one of before; the first App that has it by name claims it.
ALTER TABLE projections ADD COLUMN app text COLLATE "C" NOT NULL DEFAULT '';
