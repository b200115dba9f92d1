"""Combine settings and backends: which processes run, and how."""
