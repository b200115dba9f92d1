"""The control socket: where it is, and how its clients are answered."""
