-- Takes away what is half built, and the kept generations: they can be built from the log again.
DO $$
DECLARE
    g record;
BEGIN
    FOR g IN SELECT projection, generation, table_name, serving FROM projection_generations
             WHERE NOT built OR retired_at IS NOT NULL OR NOT serving LOOP
        -- With the view, if this is what it shows.
        EXECUTE format('DROP TABLE IF EXISTS %I CASCADE', g.table_name);
        DELETE FROM projection_generations WHERE projection = g.projection AND generation = g.generation;
    END LOOP;
END
$$;
DELETE FROM projections p
WHERE NOT EXISTS (SELECT FROM projection_generations g WHERE g.projection = p.name AND g.generation = p.live_generation);

DROP TABLE projection_buckets;
DROP TABLE projection_operations;
ALTER TABLE projection_generations DROP COLUMN built, DROP COLUMN retired_at;
