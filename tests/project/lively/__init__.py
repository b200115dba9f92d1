"""An app that opens all it can when it is set up: a pool, a cache, a thread, a generator."""
