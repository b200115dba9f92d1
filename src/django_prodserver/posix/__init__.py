"""The operating system: the only fork, kill, waitpid, clock and poll of the package."""
