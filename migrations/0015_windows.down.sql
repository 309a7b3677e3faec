DROP TABLE windows;
DROP TABLE window_partitions;
