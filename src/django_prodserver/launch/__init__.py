"""Settings and backends together: what is to be run, and how."""
