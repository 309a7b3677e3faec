ALTER TABLE projections DROP COLUMN app;
DROP TABLE apps;
