"""The project as a function of a cloud: no server, no supervisor, one request at a time."""
