"""An app that opens all it can as soon as it is set up: a pool, a cache, a thread, a generator."""
