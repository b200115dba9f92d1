"""Settings and backends together: what is run, and how."""
