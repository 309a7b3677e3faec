DROP TABLE projection_audit;
