"""Commands with the same names that have nothing to do with the software."""
