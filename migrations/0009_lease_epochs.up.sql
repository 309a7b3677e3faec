-- A generation's epochs begin at the time of its making, in microseconds, which is more than takes of a
-- lease can have counted to. A projection that was dropped and made again has the same names; if its
-- epochs began at 0 again, a process that was frozen all the while could take its lease of before for
-- the new one's.
ALTER TABLE projection_generations ALTER COLUMN epoch SET DEFAULT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
