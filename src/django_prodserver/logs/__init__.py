"""Lines of the log: cut, rendered and kept. All of it is pure."""
