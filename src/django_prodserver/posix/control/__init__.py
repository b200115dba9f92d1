"""The control socket: where it is, and who is answered there."""
