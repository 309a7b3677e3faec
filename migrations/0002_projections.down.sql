-- Takes the bookkeeping away and with it every generation's table and view: they can be built from
-- the log again.
DO $$
DECLARE
    g record;
BEGIN
    FOR g IN SELECT name FROM projections LOOP
        EXECUTE format('DROP VIEW IF EXISTS %I', g.name);
    END LOOP;
    FOR g IN SELECT table_name FROM projection_generations LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', g.table_name);
    END LOOP;
END
$$;

DROP FUNCTION projection_fenced();
DROP TABLE projection_skips;
DROP TABLE projection_generations;
DROP TABLE projections;
