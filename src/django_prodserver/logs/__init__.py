"""Lines of the log: cut, and rendered; pure."""
